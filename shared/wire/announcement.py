"""The ephemeral key that a site announces for one attempt at a secure sum."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Announcement:
    """One site's ephemeral X25519 key for one attempt, signed with the site's own key."""

    site_id: str
    key: bytes  # 32 bytes
    signature: bytes
