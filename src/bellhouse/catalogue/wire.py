"""Types and templates as callers send and see them."""

from typing import Annotated, Any, Final, Literal

import msgspec

from bellhouse.domain.catalogue import ChannelTemplate, NotificationType, Template
from bellhouse.domain.content import Content, SmsContent
from bellhouse.domain.words import Category, Channel, Priority
from bellhouse.templates.publish import Problem as TemplateProblem
from bellhouse.templates.sizes import sms_size
from bellhouse.web.codes import FieldCode
from bellhouse.web.problems import FieldError
from bellhouse.web.words import Name

MAX_LIFETIME_S: Final = 30 * 86_400
Source = Annotated[str, msgspec.Meta(max_length=262_144)]
Locale = Annotated[str, msgspec.Meta(min_length=1, max_length=35, examples=["en"])]


class TypeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plan for a type of notification."""

    category: Annotated[Category, msgspec.Meta(description="Drives consent and what an unknown outcome means.")]
    priority: Priority = "normal"
    channels: Annotated[
        tuple[Channel, ...],
        msgspec.Meta(min_length=1, max_length=5, description="In their order.", examples=[["push", "email"]]),
    ] = ("push", "email")
    mode: Annotated[
        Literal["all", "first"],
        msgspec.Meta(
            description="`all`: every channel that is allowed and reachable; `first`: only the first of them."
        ),
    ] = "all"
    lifetime_s: Annotated[
        int, msgspec.Meta(ge=1, le=MAX_LIFETIME_S, description="How long it is worth sending, in seconds.")
    ] = 86_400
    template: Annotated[Name, msgspec.Meta(description="The template's name; left out, the type's own.")] | None = None
    quiet_hours: Annotated[
        Literal["defer", "drop", "ignore"],
        msgspec.Meta(description="What quiet hours do to it; security ignores them."),
    ] = "defer"
    on_unknown: (
        Annotated[
            Literal["retry", "keep"],
            msgspec.Meta(
                description="After an unknown outcome: at least once, or at most once; left out, the category's."
            ),
        ]
        | None
    ) = None


class TypeAnswer(TypeRequest, frozen=True, kw_only=True):
    """A type as it is stored."""

    name: str


class TypesAnswer(msgspec.Struct, frozen=True):
    """Every type of the tenant."""

    types: list[TypeAnswer]


class Sources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The sources of one channel: push and in_app have title and body, email subject, text and html."""

    title: Source | None = None
    body: Source | None = None
    subject: Source | None = None
    text: Source | None = None
    html: Source | None = None
    image: Source | None = None
    link: Source | None = None


class TemplateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new version of a template."""

    locales: Annotated[
        dict[Locale, dict[Channel, Sources]],
        msgspec.Meta(
            min_length=1,
            max_length=100,
            description="Per locale and channel, the sources.",
            examples=[{"en": {"push": {"title": "Shipped", "body": "Order {{ order }} is on its way."}}}],
        ),
    ]
    default_locale: Locale = "en"
    sample: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="Data with every variable, which proves that none is missing.", examples=[{"order": "A-1234"}]
        ),
    ] = {}


class TemplateAnswer(msgspec.Struct, frozen=True):
    """A version of a template as it is stored."""

    name: str
    version: int
    locales: dict[str, dict[Channel, Sources]]
    default_locale: str
    sample: dict[str, Any]


class TemplateName(msgspec.Struct, frozen=True):
    """A template and its newest version."""

    name: str
    version: int


class TemplatesAnswer(msgspec.Struct, frozen=True):
    """Every template of the tenant."""

    templates: list[TemplateName]


class PreviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to render: a stored version, or a draft that is not stored."""

    data: Annotated[dict[str, Any], msgspec.Meta(description="Left out, the template's sample.")] | None = None
    locale: Locale | None = None
    """Left out, the template's default."""
    version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Left out, the newest."""
    draft: TemplateRequest | None = None
    """Rendered in place of a stored version."""


class Preview(msgspec.Struct, frozen=True, omit_defaults=True):
    """What would go out on a channel, or why it cannot be rendered."""

    content: dict[str, Any] | None = None
    error: FieldError | None = None
    segments: int | None = None
    """How many SMS it takes."""


class PreviewAnswer(msgspec.Struct, frozen=True):
    """Every channel of the template, rendered."""

    name: str
    version: int
    """0 for a draft."""
    locale: str
    channels: dict[Channel, Preview]


_CODES: Final[dict[str, FieldCode]] = {
    "locale": "invalid_format",
    "field_missing": "required",
    "field_unknown": "unknown_field",
    "source": "template_error",
    "variable_missing": "missing_variable",
    "not_rendered": "template_error",
    "size": "too_large",
}


def type_of(name: str, request: TypeRequest) -> NotificationType:
    """The type to store."""
    return NotificationType(
        name,
        request.category,
        request.priority,
        request.channels,
        request.mode,
        request.lifetime_s,
        request.template,
        request.quiet_hours,
        request.on_unknown,
    )


def type_answer(kind: NotificationType) -> TypeAnswer:
    """A stored type as it is shown."""
    return TypeAnswer(
        name=kind.name,
        category=kind.category,
        priority=kind.priority,
        channels=kind.channels,
        mode=kind.mode,
        lifetime_s=kind.lifetime_s,
        template=kind.template,
        quiet_hours=kind.quiet_hours,
        on_unknown=kind.on_unknown,
    )


def template_of(name: str, request: TemplateRequest) -> Template:
    """The version to store; the store numbers it."""
    locales = {
        locale: {channel: msgspec.convert(msgspec.to_builtins(of), ChannelTemplate) for channel, of in channels.items()}
        for locale, channels in request.locales.items()
    }
    return Template(name, 0, locales, request.default_locale, request.sample)


def template_answer(template: Template) -> TemplateAnswer:
    """A stored version as it is shown."""
    locales = {
        locale: {channel: msgspec.convert(msgspec.to_builtins(of), Sources) for channel, of in channels.items()}
        for locale, channels in template.locales.items()
    }
    return TemplateAnswer(template.name, template.version, locales, template.default_locale, template.sample)


def field_error(problem: TemplateProblem) -> FieldError:
    """A template's fault as a faulty field."""
    return FieldError(problem.field, _CODES[problem.code], problem.message)


def shown_content(content: Content) -> dict[str, Any]:
    """Rendered content as JSON, without what only the provider's client needs."""
    fields: dict[str, Any] = msgspec.to_builtins(content)
    fields.pop("frame", None)
    fields.pop("type", None)
    return fields


def preview_of(content: Content) -> Preview:
    """Rendered content with its SMS segments."""
    segments = sms_size(content.text).segments if isinstance(content, SmsContent) else None
    return Preview(content=shown_content(content), segments=segments)
