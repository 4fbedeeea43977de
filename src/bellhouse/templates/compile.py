"""Compiles the sources of one template version, once, into something that renders a channel's content quickly."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, assert_never

from minijinja import Environment, TemplateError

from bellhouse.domain.catalogue import ChannelTemplate, Template
from bellhouse.domain.content import ChatContent, Content, EmailContent, InAppContent, PushContent, SmsContent
from bellhouse.domain.words import Channel
from bellhouse.templates.errors import BadSource, MissingVariable, NoContent, NotRendered
from bellhouse.templates.lint import Refused, lint
from bellhouse.templates.locale import choose

FUEL: Final = 20_000
"""Engine steps that one field may take: some two thousand turns of a small loop."""

REQUIRED: Final[dict[Channel, tuple[str, ...]]] = {
    "push": ("title", "body"),
    "email": ("subject", "text"),
    "sms": ("text",),
    "in_app": ("title", "body"),
    "chat": ("text",),
}
OPTIONAL: Final[dict[Channel, tuple[str, ...]]] = {
    "push": ("image", "link"),
    "email": ("html",),
    "sms": (),
    "in_app": ("link",),
    "chat": (),
}
_HTML: Final = ".html"
_TEXT: Final = ".txt"
"""What ends an engine's template name, by which it knows what to escape."""
_MAX_MEMO: Final = 64
_BREAK: Final = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_UNDEFINED: Final = re.compile(r"`([^`]+)` is undefined")

Context = Mapping[str, Any]
Field = Callable[..., str]
Build = Callable[[dict[str, Any]], Content]


class CompiledTemplate:
    """One template version, compiled as its locales and channels are asked for. Not shared between threads."""

    def __init__(self, template: Template, frame: str | None = None) -> None:
        """`frame` names the version for EmailContent.frame, `name:version` where it is not given."""
        self.template = template
        self._frame = f"{template.name}:{template.version}" if frame is None else frame
        self._environment = environment()
        self._channels: dict[tuple[str, Channel], CompiledChannel] = {}
        self._wanted: dict[tuple[str, Channel], CompiledChannel] = {}

    def channel(self, locale: str, channel: Channel) -> "CompiledChannel":
        """The channel's sources in the first locale of the fallback chain that has them.

        Raises NoContent where none has, and BadSource for sources that were never published.
        """
        found = self._wanted.get((locale, channel))
        if found is None:
            found = self._find(locale, channel)
            if len(self._wanted) >= _MAX_MEMO:
                self._wanted.clear()
            self._wanted[locale, channel] = found
        return found

    def render(self, locale: str, channel: Channel, data: Context, user_id: str) -> Content:
        """Render one channel's content. Raises MissingVariable, NotRendered or NoContent."""
        return self.channel(locale, channel).render(data, user_id, locale)

    def _find(self, locale: str, channel: Channel) -> "CompiledChannel":
        template = self.template
        having = [name for name, channels in template.locales.items() if channel in channels]
        chosen = choose(locale, template.default_locale, having)
        if chosen is None:
            raise NoContent(template=template.name, field=f"locales.{template.default_locale}.{channel}")
        known = self._channels.get((chosen, channel))
        if known is None:
            known = CompiledChannel(self._environment, template, chosen, channel, f"{self._frame}:{chosen}")
            self._channels[chosen, channel] = known
        return known


class CompiledChannel:
    """One channel's sources in one locale."""

    __slots__ = ("_build", "_environment", "_wants_recipient", "name", "path")

    def __init__(self, environment: Environment, template: Template, locale: str, channel: Channel, frame: str) -> None:
        self.name = template.name
        self.path = f"locales.{locale}.{channel}"
        self._environment = environment
        self._wants_recipient = False
        given = sources(template.locales[locale][channel], channel)
        self._build = _builder(channel, {name: self._compile(name, source) for name, source in given.items()}, frame)

    def render(self, data: Context, user_id: str, locale: str) -> Content:
        """Render every field with `data` at the top level, and `recipient.user_id` and `recipient.locale`.

        Raises MissingVariable and NotRendered.
        """
        if self._wants_recipient or not isinstance(data, dict):
            data = {**data, "recipient": {"user_id": user_id, "locale": locale}}
        try:
            return self._build(data)
        except TemplateError as error:
            raise self._explained(error) from error

    def _compile(self, field: str, source: str) -> Field:
        path = f"{self.path}.{field}"
        key = path + (_HTML if field == "html" else _TEXT)
        try:
            lint(source)
            self._environment.add_template(key, source)
        except Refused as error:
            raise BadSource(template=self.name, field=path, line=error.line, problem=error.problem) from error
        except TemplateError as error:
            raise BadSource(template=self.name, field=path, line=error.line, problem=_problem(error)) from error
        if not any(mark in source for mark in ("{{", "{%", "{#")):
            rendered = self._environment.render_template(key)
            return lambda **_: rendered
        if "recipient" in self._environment.undeclared_variables_in_template(key):
            self._wants_recipient = True
        return partial(self._environment.render_template, key)

    def _explained(self, error: TemplateError) -> MissingVariable | NotRendered:
        path = (error.name or self.path).removesuffix(_HTML).removesuffix(_TEXT)
        if error.kind == "UndefinedError":
            found = _UNDEFINED.search(error.detail or "")
            variable = found.group(1) if found else "(unnamed)"
            return MissingVariable(template=self.name, field=path, line=error.line, variable=variable)
        return NotRendered(template=self.name, field=path, line=error.line, problem=_problem(error))


def _builder(channel: Channel, fields: dict[str, Field], frame: str) -> Build:
    """What makes a channel's content from its fields."""
    match channel:
        case "push":
            return _push(fields["title"], fields["body"], fields.get("image"), fields.get("link"))
        case "email":
            return _email(fields["subject"], fields["text"], fields.get("html"), frame)
        case "sms":
            sms = fields["text"]
            return lambda data: SmsContent(sms(**data))
        case "in_app":
            return _in_app(fields["title"], fields["body"], fields.get("link"))
        case "chat":
            chat = fields["text"]
            return lambda data: ChatContent(chat(**data))
        case _:
            assert_never(channel)


def _push(title: Field, body: Field, image: Field | None, link: Field | None) -> Build:
    if image is None and link is None:
        return lambda data: PushContent(one_line(title(**data)), body(**data))
    return lambda data: PushContent(
        one_line(title(**data)), body(**data), _optional(image, data), _optional(link, data)
    )


def _email(subject: Field, text: Field, html: Field | None, frame: str) -> Build:
    if html is None:
        return lambda data: EmailContent(one_line(subject(**data)), text(**data), None, frame)
    return lambda data: EmailContent(one_line(subject(**data)), text(**data), html(**data), frame)


def _in_app(title: Field, body: Field, link: Field | None) -> Build:
    return lambda data: InAppContent(one_line(title(**data)), body(**data), _optional(link, data))


def _optional(field: Field | None, data: dict[str, Any]) -> str | None:
    return None if field is None else one_line(field(**data))


def one_line(text: str) -> str:
    """A title, subject or link without line breaks: data must not add a header to an email."""
    return text if text.isprintable() else _BREAK.sub(" ", text).strip()


def environment() -> Environment:
    """An engine that fails on what is undefined, spends fuel, escapes in `.html` only, and loads nothing."""
    return Environment(undefined_behavior="strict", fuel=FUEL, pycompat=False)


def sources(of: ChannelTemplate, channel: Channel) -> dict[str, str]:
    """The channel's own sources by field, without those that are not given."""
    named = {field: getattr(of, field) for field in (*REQUIRED[channel], *OPTIONAL[channel])}
    return {field: source for field, source in named.items() if source is not None}


def channels_of(template: Template) -> frozenset[Channel]:
    """The channels for which the template has content."""
    return frozenset(channel for channels in template.locales.values() for channel in channels)


def _problem(error: TemplateError) -> str:
    kind = {"OutOfFuel": "it takes too many steps", "SyntaxError": "syntax error"}.get(error.kind, error.kind)
    return f"{kind}: {error.detail}" if error.detail else kind
