"""What keeps a template version from being published."""

import pytest

from bellhouse.domain.catalogue import ChannelTemplate
from bellhouse.templates.publish import check
from tests.unit.templates.sources import ENGLISH, SAMPLE, template, with_field


def found(of):
    return [(problem.field, problem.code) for problem in check(of)]


def test_a_good_template_has_no_problem() -> None:
    assert check(template()) == []


@pytest.mark.parametrize(
    ("channel", "field"),
    [
        ("push", "title"),
        ("push", "body"),
        ("email", "subject"),
        ("email", "text"),
        ("sms", "text"),
        ("in_app", "title"),
        ("in_app", "body"),
        ("chat", "text"),
    ],
)
def test_a_field_that_a_channel_needs_cannot_be_missing_or_blank(channel: str, field: str) -> None:
    assert found(with_field(channel, field, None)) == [(f"locales.en.{channel}.{field}", "field_missing")]
    assert found(with_field(channel, field, " \n")) == [(f"locales.en.{channel}.{field}", "field_missing")]


def test_a_field_that_a_channel_does_not_have_is_named() -> None:
    assert found(with_field("sms", "html", "<p>")) == [("locales.en.sms.html", "field_unknown")]


def test_a_syntax_error_names_field_and_line() -> None:
    (problem,) = check(with_field("email", "subject", "one\n{% if x %}"))
    assert (problem.field, problem.code, problem.line) == ("locales.en.email.subject", "source", 2)
    assert "syntax error" in problem.message


def test_amplification_names_field_and_line() -> None:
    (problem,) = check(with_field("sms", "text", "{{ 'x' * 10**8 }}"))
    assert (problem.field, problem.code, problem.line) == ("locales.en.sms.text", "source", 1)


def test_a_variable_that_the_sample_lacks_is_named_in_every_locale() -> None:
    french = {**ENGLISH, "sms": ChannelTemplate(text="Bonjour {{ nom }}")}
    (problem,) = check(template(locales={"en": ENGLISH, "fr": french}))
    assert (problem.field, problem.code, problem.line) == ("locales.fr.sms.text", "variable_missing", 1)
    assert "nom" in problem.message


def test_every_problem_is_said_at_once() -> None:
    broken = {"push": ChannelTemplate(title="x"), "sms": ChannelTemplate(text="{{ x }}"), "chat": ChannelTemplate()}
    assert found(template(locales={"en": broken}, sample={})) == [
        ("locales.en.push.body", "field_missing"),
        ("locales.en.sms.text", "variable_missing"),
        ("locales.en.chat.text", "field_missing"),
    ]


def test_the_default_locale_must_have_every_channel() -> None:
    partial = template(locales={"en": {"sms": ENGLISH["sms"]}, "fr": ENGLISH})
    assert [field for field, _ in found(partial)] == [
        f"locales.en.{channel}" for channel in ("chat", "email", "in_app", "push")
    ]
    assert found(template(locales={"fr": ENGLISH})) == [("locales.en", "locale")]
    assert found(template(locales={})) == [("locales.en", "locale")]


@pytest.mark.parametrize("locale", ["english", "pt_BR", "EN", "e", "en-"])
def test_a_locale_is_written_in_its_usual_form(locale: str) -> None:
    assert found(template(locales={"en": ENGLISH, locale: ENGLISH})) == [(f"locales.{locale}", "locale")]


@pytest.mark.parametrize(
    ("channel", "field", "source", "where"),
    [
        ("push", "body", "x" * 4000, "locales.en.push"),
        ("sms", "text", "x" * 1601, "locales.en.sms.text"),
        ("email", "subject", "x" * 999, "locales.en.email.subject"),
        ("email", "html", "x" * 300_000, "locales.en.email.html"),
        ("email", "html", "{{ big }}", "locales.en.email"),
    ],
)
def test_sizes_are_checked(channel: str, field: str, source: str, where: str) -> None:
    made = with_field(channel, field, source)
    made = template(locales=made.locales, sample={**SAMPLE, "big": "x" * 1_048_576})
    assert found(made) == [(where, "size")]
