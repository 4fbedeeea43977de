"""The named texts of requests with their forms: user ids, names and keys."""

from typing import Annotated, Final

import msgspec

KEY_LENGTH: Final = 255

USER_ID: Final = r"^[^\x00-\x1f\x7f/]+$"
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
ABOUT_USER_ID: Final = "The caller's own name of a recipient: 1 to 256 characters, no slash and no control characters."
ABOUT_NAME: Final = "1 to 128 letters, digits, dots, underscores and hyphens, beginning with a letter or digit."

UserId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=256,
        pattern=USER_ID,
        description=ABOUT_USER_ID,
        examples=["user-4711"],
    ),
]
Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=128,
        pattern=NAME,
        description=ABOUT_NAME,
        examples=["order_shipped"],
    ),
]
Key = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=KEY_LENGTH,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="1 to 255 characters, no control characters.",
        examples=["order-1234-shipped"],
    ),
]
