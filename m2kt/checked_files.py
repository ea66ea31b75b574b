"""Files whose digest is known: every read checks it.

Free of torch.

Owns: `read_checked`, `map_checked`.
Does not own: where files lie (store, sealed_packets), how they are written (disk).
"""

from pathlib import Path

from m2kt.digest import Digest, content_digest_of, digest_of
from m2kt.disk import mapped
from m2kt.errors import NotFoundError, StoreError


def read_checked(path: Path, digest: Digest) -> bytes:
    """The bytes of a file whose `digest_of` is known.

    Raises:
        NotFoundError: there is no such file.
        StoreError: it cannot be read, or has another digest.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(path, digest) from error
    except OSError as error:
        raise StoreError(f"expected to read {path}, found {error}; mend the disk") from error
    _require_unaltered(path, digest, digest_of(raw))
    return raw


def map_checked(path: Path, digest: Digest) -> memoryview:
    """A payload in a file, `content_digest_of` it known; not held in memory (see `mapped`).

    Raises:
        NotFoundError: there is no such file.
        StoreError: it cannot be read, or has another digest.
    """
    if not path.exists():
        raise _missing(path, digest)
    view = mapped(path)
    _require_unaltered(path, digest, content_digest_of(view))
    return view


def _missing(path: Path, digest: Digest) -> NotFoundError:
    return NotFoundError(
        f"expected {digest} in {path.parent}, found nothing; list the history for what there is"
    )


def _require_unaltered(path: Path, digest: Digest, found: Digest) -> None:
    if found != digest:
        raise StoreError(
            f"expected {path} to have the digest {digest}, found {found}: it was altered or"
            " damaged; restore it from a backup, or un-learn what refers to it"
        )
