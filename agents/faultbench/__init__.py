"""`m2kt bench faults`: many injected faults, and what has to hold after each of them."""
