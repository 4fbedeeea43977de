"""What exactly goes out, and what is said where it cannot."""

import pytest

from bellhouse.domain.catalogue import ChannelTemplate
from bellhouse.domain.content import ChatContent, EmailContent, InAppContent, PushContent, SmsContent
from bellhouse.domain.ids import TenantNo
from bellhouse.templates.compile import CompiledTemplate, channels_of
from bellhouse.templates.errors import BadSource, MissingVariable, NoContent, NotRendered
from bellhouse.templates.render import Renderer
from tests.unit.templates.sources import ENGLISH, SAMPLE, template, with_field

ONE = TenantNo(1)


def render(channel, data=SAMPLE, locale="en", of=None):
    return Renderer().render(ONE, of or template(), locale, channel, data, "ann")


def test_each_channel_gets_its_own_content() -> None:
    assert render("push") == PushContent("Order A-1", "Hi Ann", None, "https://shop.example/A-1")
    assert render("email") == EmailContent("Order A-1", "Hi Ann\n- Tea\n- Cup", "<p>Hi Ann</p>", "1:order_shipped:3:en")
    assert render("sms") == SmsContent("Ann: A-1")
    assert render("in_app") == InAppContent("Order", "Hi Ann (ann, en)")
    assert render("chat") == ChatContent("*Ann*: A-1")


@pytest.mark.parametrize(("locale", "text"), [("pt-BR", "Pedido A-1"), ("pt", "Pedido A-1"), ("fr", "Ann: A-1")])
def test_the_locale_falls_back_to_its_language_and_then_to_the_default(locale: str, text: str) -> None:
    assert render("sms", locale=locale) == SmsContent(text)


def test_a_channel_that_her_locale_lacks_comes_from_the_default_one() -> None:
    assert render("push", locale="pt-BR").title == "Order A-1"


def test_only_html_is_escaped() -> None:
    content = render("email", {**SAMPLE, "name": "<Ann> & co"})
    assert content.html == "<p>Hi &lt;Ann&gt; &amp; co</p>"
    assert content.text.startswith("Hi <Ann> & co")


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\u2028", "\x85"])
def test_data_cannot_break_a_subject_into_a_second_header(break_: str) -> None:
    content = render("email", {**SAMPLE, "order": f"A-1{break_}Bcc: all@example.org"})
    assert content.subject == "Order A-1 Bcc: all@example.org"


def test_a_missing_variable_is_named_with_its_field_and_line() -> None:
    with pytest.raises(MissingVariable) as missing:
        render("email", {"name": "Ann", "order": "A-1", "items": [{"name": "Tea"}, {"nom": "Cup"}]})
    fault = missing.value
    assert (fault.template, fault.field, fault.line) == ("order_shipped", "locales.en.email.text", 2)
    assert fault.variable == "item.name"
    assert str(fault) == (
        "Template order_shipped, field locales.en.email.text, line 2: the variable item.name is missing from the data."
    )


def test_the_recipient_is_the_platforms_whatever_the_data_say() -> None:
    assert render("in_app", {**SAMPLE, "recipient": {"user_id": "eve", "locale": "xx"}}).body == "Hi Ann (ann, en)"


def test_the_data_are_not_changed() -> None:
    data = dict(SAMPLE)
    render("in_app", data)
    assert data == SAMPLE


def test_a_channel_without_content_is_an_error() -> None:
    only_sms = template(locales={"en": {"sms": ENGLISH["sms"]}})
    with pytest.raises(NoContent, match=r"locales\.en\.push"):
        render("push", of=only_sms)
    assert channels_of(only_sms) == {"sms"}


def test_what_the_data_break_is_told_from_what_is_missing() -> None:
    with pytest.raises(NotRendered, match=r"locales\.en\.sms\.text, line 1"):
        render("sms", of=with_field("sms", "text", "{{ name + 1 }}"))


def test_a_loop_over_huge_data_runs_out_of_fuel() -> None:
    rows = with_field("sms", "text", "{% for a in items %}{% for b in items %}{{ b }}{% endfor %}{% endfor %}")
    with pytest.raises(NotRendered, match="too many steps"):
        render("sms", {"items": list(range(1000))}, of=rows)


def test_a_template_reaches_neither_the_interpreter_nor_other_fields() -> None:
    with pytest.raises(MissingVariable):
        render("sms", of=with_field("sms", "text", "{{ name.__class__ }}"))
    with pytest.raises(BadSource):
        render("sms", of=with_field("sms", "text", "{% include 'locales.en.push.title.txt' %}"))


def test_two_tenants_templates_of_one_name_are_two() -> None:
    renderer = Renderer()
    other = template(locales={"en": {"sms": ChannelTemplate(text="other")}})
    assert renderer.render(ONE, template(), "en", "sms", SAMPLE, "ann") == SmsContent("Ann: A-1")
    assert renderer.render(TenantNo(2), other, "en", "sms", SAMPLE, "ann") == SmsContent("other")


def test_the_renderer_keeps_at_most_its_capacity_and_drops_what_was_not_used_for_longest() -> None:
    renderer = Renderer(capacity=2)
    first = renderer.compiled(ONE, template(version=1))
    renderer.compiled(ONE, template(version=2))
    assert renderer.compiled(ONE, template(version=1)) is first
    renderer.compiled(ONE, template(version=3))
    assert len(renderer) == 2
    assert renderer.compiled(ONE, template(version=1)) is first


def test_a_stream_of_strange_locales_does_not_grow_the_memo() -> None:
    compiled = CompiledTemplate(template())
    for i in range(1000):
        assert compiled.render(f"x{i}", "sms", SAMPLE, "ann") == SmsContent("Ann: A-1")
    assert len(compiled._wanted) <= 64
