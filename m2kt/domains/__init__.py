"""The domains that ship with M2KT, found by name."""
