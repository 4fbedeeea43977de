"""What exactly goes out: the rendered content of one channel."""

import msgspec


class PushContent(msgspec.Struct, frozen=True, tag="push", omit_defaults=True, gc=False):
    title: str
    body: str
    image: str | None = None
    link: str | None = None


class EmailContent(msgspec.Struct, frozen=True, tag="email", omit_defaults=True, gc=False):
    subject: str
    text: str
    html: str | None = None
    frame: str | None = None
    """Which template version made it (`tenant:name:version:locale`), so that a client can cache the MIME frame."""


class SmsContent(msgspec.Struct, frozen=True, tag="sms", omit_defaults=True, gc=False):
    text: str


class InAppContent(msgspec.Struct, frozen=True, tag="in_app", omit_defaults=True, gc=False):
    title: str
    body: str
    link: str | None = None


class ChatContent(msgspec.Struct, frozen=True, tag="chat", omit_defaults=True, gc=False):
    text: str


Content = PushContent | EmailContent | SmsContent | InAppContent | ChatContent
