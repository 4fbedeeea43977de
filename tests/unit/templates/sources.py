"""A template from which the tests of templates start."""

from typing import Any

import msgspec

from bellhouse.domain.catalogue import ChannelTemplate, Template

SAMPLE: dict[str, object] = {"name": "Ann", "order": "A-1", "items": [{"name": "Tea"}, {"name": "Cup"}]}

ENGLISH: dict[Any, ChannelTemplate] = {
    "push": ChannelTemplate(title="Order {{ order }}", body="Hi {{ name }}", link="https://shop.example/{{ order }}"),
    "email": ChannelTemplate(
        subject="Order {{ order }}",
        text="Hi {{ name }}{% for item in items %}\n- {{ item.name }}{% endfor %}",
        html="<p>Hi {{ name }}</p>",
    ),
    "sms": ChannelTemplate(text="{{ name }}: {{ order }}"),
    "in_app": ChannelTemplate(title="Order", body="Hi {{ name }} ({{ recipient.user_id }}, {{ recipient.locale }})"),
    "chat": ChannelTemplate(text="*{{ name }}*: {{ order }}"),
}
PORTUGUESE: dict[Any, ChannelTemplate] = {"sms": ChannelTemplate(text="Pedido {{ order }}")}


def template(**changes: Any) -> Template:
    plain = Template(
        name="order_shipped", version=3, locales={"en": ENGLISH, "pt": PORTUGUESE}, default_locale="en", sample=SAMPLE
    )
    return msgspec.structs.replace(plain, **changes)


def with_field(channel: str, field: str, source: str | None, locale: str = "en") -> Template:
    changed = msgspec.structs.replace(ENGLISH[channel], **{field: source})
    return template(locales={"en": ENGLISH, locale: {**ENGLISH, channel: changed}})
