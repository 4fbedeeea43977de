"""What must hold before a template version is published; all that does not is said at once."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from bellhouse.domain.catalogue import ChannelTemplate, Template
from bellhouse.domain.content import Content, EmailContent, PushContent, SmsContent
from bellhouse.domain.words import Channel
from bellhouse.templates.compile import OPTIONAL, REQUIRED, CompiledTemplate, channels_of
from bellhouse.templates.errors import MissingVariable, TemplateFault
from bellhouse.templates.locale import normalized
from bellhouse.templates.sizes import (
    EMAIL_LIMIT,
    PUSH_LIMIT,
    PUSH_RESERVED,
    SMS_LIMIT,
    SUBJECT_LIMIT,
    email_size,
    push_size,
)

SOURCE_LIMIT: Final = 262_144
"""Characters of one field's source."""

ProblemCode = Literal["locale", "field_missing", "field_unknown", "source", "variable_missing", "not_rendered", "size"]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a template."""

    field: str
    """Such as `locales.en.email.subject`."""
    code: ProblemCode
    message: str
    line: int | None = None


def check(template: Template) -> list[Problem]:
    """Everything for which this version cannot be published; an empty list is a yes.

    Each channel has the fields that it needs and no other, the sources compile and keep to what templates may use,
    the sample data render every locale and channel with no variable missing, and the results are within the sizes.
    """
    problems = list(_locales(template))
    compiled = CompiledTemplate(template)
    for locale, channels in template.locales.items():
        for channel, of in channels.items():
            found = list(_fields(of, channel, f"locales.{locale}.{channel}"))
            problems += found or _trial(compiled, locale, channel)
    return problems


def _locales(template: Template) -> Iterator[Problem]:
    """The forms of the locales, and that whatever one of them has is in the default one too."""
    default = template.default_locale
    if not template.locales or default not in template.locales:
        yield Problem(f"locales.{default}", "locale", f"The default locale {default} has no sources.")
    for locale in {default: None, **template.locales}:
        if (problem := _misspelled(locale)) is not None:
            yield Problem(f"locales.{locale}", "locale", problem)
    for channel in sorted(channels_of(template) - set(template.locales.get(default, {}))):
        if default in template.locales:
            message = f"Other locales have {channel}, so the default locale {default} must have it too."
            yield Problem(f"locales.{default}.{channel}", "locale", message)


def _misspelled(locale: str) -> str | None:
    try:
        right = normalized(locale)
    except ValueError as error:
        return f"{error}."
    return None if right == locale else f"Write the locale {locale} as {right}."


def _fields(of: ChannelTemplate, channel: Channel, path: str) -> Iterator[Problem]:
    needed = REQUIRED[channel]
    for field in of.__struct_fields__:
        source = getattr(of, field)
        if field in needed and not (source and source.strip()):
            yield Problem(f"{path}.{field}", "field_missing", f"{channel} needs {' and '.join(needed)}.")
        elif source is not None and field not in needed and field not in OPTIONAL[channel]:
            yield Problem(f"{path}.{field}", "field_unknown", f"{channel} has no {field}.")
        elif source is not None and len(source) > SOURCE_LIMIT:
            yield Problem(f"{path}.{field}", "size", f"A source has at most {SOURCE_LIMIT} characters.")


def _trial(compiled: CompiledTemplate, locale: str, channel: Channel) -> list[Problem]:
    """Compile and render with the sample data; a fault in one field hides those in the others of its channel."""
    template = compiled.template
    try:
        content = compiled.channel(locale, channel).render(template.sample, "sample", locale)
    except TemplateFault as fault:
        return [_problem(fault)]
    return list(_sizes(content, f"locales.{locale}.{channel}"))


def _problem(fault: TemplateFault) -> Problem:
    match fault:
        case MissingVariable():
            message = f"{fault} Add it to the sample, or give a default: {{{{ {fault.variable} | default('…') }}}}."
            return Problem(fault.field, "variable_missing", message, fault.line)
        case _:
            code: ProblemCode = "not_rendered" if type(fault).__name__ == "NotRendered" else "source"
            return Problem(fault.field, code, str(fault), fault.line)


def _sizes(content: Content, path: str) -> Iterator[Problem]:
    match content:
        case PushContent() if push_size(content) > PUSH_LIMIT - PUSH_RESERVED:
            yield Problem(path, "size", f"A push says at most {PUSH_LIMIT - PUSH_RESERVED} bytes.")
        case SmsContent() if len(content.text) > SMS_LIMIT:
            yield Problem(f"{path}.text", "size", f"An SMS has at most {SMS_LIMIT} characters.")
        case EmailContent():
            if len(content.subject) > SUBJECT_LIMIT:
                yield Problem(f"{path}.subject", "size", f"A subject has at most {SUBJECT_LIMIT} characters.")
            if email_size(content) > EMAIL_LIMIT:
                yield Problem(path, "size", f"An email has at most {EMAIL_LIMIT} bytes.")
        case _:
            return
