"""What templates may use, and what is refused before it can fill the memory."""

import pytest

from bellhouse.templates.compile import environment
from bellhouse.templates.lint import Refused, lint

PLAIN = [
    "",
    "Hello {{ name }}",
    "{{ recipient.locale|upper }} {#- a comment {{ 'x' * 10**8 }} -#}",
    "{% if total > 1000000 and not late %}{{ total }}{% elif x is defined %}-{% else %}+{% endif %}",
    "{% for item in items %}{{ loop.index }}. {{ item.name }}: {{ item.price|round(2) }}\n{% endfor %}",
    "{% for key, value in d|items %}{{ key }}={{ value }}{% endfor %}",
    "{% for i in range(1, 10) %}{{ i }}{% endfor %}",
    "{% set full = first ~ ' ' ~ last %}{{ full }}{{ full|title }}",
    "{{ (score * 100)|round }}% {{ 2 * price }} {{ price * 1.19 }} {{ a * 2 + b * 3 }}",
    "{{ items|join(', ') }} {{ text|replace('a', 'b') }} {{ text|indent(4) }} {{ text|truncate(20) }}",
    "{{ users|map(attribute='name')|join(', ') }}",
    "{% raw %}{{ 'x' * 10**8 }}{% include 'y' %}{% endraw %}",
    "{{ name | default('friend') }} {{ a if b else c }} {{ a[0] }} {{ a[:3] }} {{ a == b }} {{ 'it''s' }}",
    "{{ \"a }} b\" }} {{ '%}' }} {{ 1e3 }} {{ -1 }}",
    "{% for x in y if x is divisibleby(3) and x is not divisibleby(2) %}{% endfor %}",
]


@pytest.mark.parametrize("source", PLAIN)
def test_what_a_message_needs_is_allowed_and_compiles(source: str) -> None:
    lint(source)
    environment().add_template("x.txt", source.replace("'it''s'", "'its'"))


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 10**8 }}",
        "{{ 'x' * 100000000 }}",
        "{{ 100000000 * 'x' }}",
        "{{ name * count }}",
        "{{ name * 900 * 900 }}",
        "{{ name * 900 * count }}",
        "{{ name * 3|replace('3', '99999999')|int }}",
        "{{ name * 0xFFFFFF }}",
        "{{ name * 1_000_000 }}",
        "{{ [1] * (10) }}",
        "{{ 2 ** 9 }}",
        "{% for i in range(100000) %}x{% endfor %}",
        "{% for i in range(count) %}x{% endfor %}",
        "{% for i in range(900) %}{% for j in range(900) %}{{ name }}{% endfor %}{% endfor %}",
        "{{ [1]|batch(10000000, 0) }}",
        "{{ [1]|batch(count, 0) }}",
        "{{ text|indent(10000000) }}",
        "{{ text|indent(width=count) }}",
        "{{ text|replace('', text) }}",
        "{{ text|join(text) }}",
        "{{ '%100000000d'|format(3) }}",
        "{{ [1]|map('indent', 100000000) }}",
        "{{ x|tojson|tojson|tojson|tojson|tojson }}",
        "{% set a = x ~ x ~ x ~ x %}" + "{% set a = a ~ a ~ a ~ a %}" * 5 + "{{ a }}",
        "{% set a = x ~ x %}" + "{% set a = a ~ a %}" * 20 + "{% if y %}{% set a = x %}{% endif %}{{ a }}",
        "{% set ns = namespace(x=1) %}",
        "{% set ns.x = ns.x ~ ns.x %}",
        "{% set a %}long{% endset %}",
        "{% macro m(a) %}{{ a }}{{ a }}{% endmacro %}",
        "{% include 'locales.en.sms.text.txt' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% block a %}{% endblock %}",
        "{% call x() %}{% endcall %}",
        "{% filter upper %}{% endfilter %}",
        "{% autoescape false %}{% endautoescape %}",
        "{% with a = 1 %}{% endwith %}",
        "{% for x in y recursive %}{{ loop(x) }}{% endfor %}",
        "{{ loop(x) }}",
        "{{ debug() }}",
        "{{ cycler('a') }}",
        "{{ {'a': {'b': 1}} }}",
        "{{ name",
        "{% if x",
        "{{ 'open }}",
        "{{ a ? b }}",
        "{%",
    ],
)
def test_what_could_amplify_or_reach_out_is_refused(source: str) -> None:
    with pytest.raises(Refused):
        lint(source)


def test_a_refusal_names_its_line() -> None:
    with pytest.raises(Refused, match="product") as refused:
        lint("one\ntwo {{ fine }}\n{{ a * b }}")
    assert refused.value.line == 3


def test_whitespace_control_hides_nothing() -> None:
    for source in ("{{- 'x' * n -}}", "{%- include 'x' -%}", "{%+ macro m() +%}", "{%-raw-%}{%- endraw -%}{{ a*b }}"):
        with pytest.raises(Refused):
            lint(source)
