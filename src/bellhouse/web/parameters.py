"""The same texts where they stand in a path or a query: the framework reads their form from its own marker alone."""

from typing import Annotated

from litestar.params import PathParameter, QueryParameter

from bellhouse.web.words import ABOUT_NAME, ABOUT_USER_ID, NAME, USER_ID

UserIdInPath = Annotated[str, PathParameter(min_length=1, max_length=256, pattern=USER_ID, description=ABOUT_USER_ID)]
NameInPath = Annotated[str, PathParameter(min_length=1, max_length=128, pattern=NAME, description=ABOUT_NAME)]
UserIdInQuery = Annotated[
    str | None, QueryParameter(min_length=1, max_length=256, pattern=USER_ID, description=ABOUT_USER_ID)
]
NameInQuery = Annotated[
    str | None, QueryParameter(name="type", min_length=1, max_length=128, pattern=NAME, description=ABOUT_NAME)
]
CampaignInQuery = Annotated[
    str | None, QueryParameter(name="campaign", min_length=1, max_length=128, pattern=NAME, description=ABOUT_NAME)
]
