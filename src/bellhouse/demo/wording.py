"""The words of the generated day: one template per type, in English and one or two other languages."""

from typing import Final

Words = tuple[str, str]
"""A short line and a sentence or two."""

_SAMPLE: Final[dict[str, object]] = {
    "name": "Ada",
    "device": "Firefox on Linux",
    "place": "Lyon, FR",
    "code": "482913",
    "amount": "€ 24.90",
    "sender": "Noah",
    "order": "B-1042-77",
    "items": "2 × Ceramic mug",
    "eta": "14:40",
    "text": "Have you seen this?",
    "month": "October",
    "count": 7,
    "offer": "20 % off",
    "item": "Desk lamp",
    "price": "€ 39.00",
    "before": "€ 52.00",
}
"""A value for every variable that the words use; a type's own sample is the part that it needs."""

WORDS: Final[dict[str, dict[str, Words]]] = {
    "login_alert": {
        "en": ("New sign-in", "{{ name }}, your account was opened with {{ device }} in {{ place }}. Was it you?"),
        "fr": ("Nouvelle connexion", "{{ name }}, connexion depuis {{ device }} à {{ place }}. Était-ce vous ?"),
        "de": (
            "Neue Anmeldung",
            "{{ name }}, dein Konto wurde mit {{ device }} in {{ place }} geöffnet. Warst du das?",
        ),
    },
    "otp_code": {
        "en": ("Your code", "{{ code }} is your code. It is valid for 5 minutes. Never tell it to anyone."),
        "fr": ("Votre code", "{{ code }} est votre code, valable 5 minutes. Ne le donnez à personne."),
        "es": ("Tu código", "{{ code }} es tu código, válido 5 minutos. No lo compartas."),
    },
    "password_changed": {
        "en": ("Your password was changed", "{{ name }}, your password was changed from {{ place }}."),
        "de": ("Dein Passwort wurde geändert", "{{ name }}, dein Passwort wurde von {{ place }} aus geändert."),
    },
    "payment_received": {
        "en": ("You received {{ amount }}", "{{ sender }} sent you {{ amount }}."),
        "fr": ("Vous avez reçu {{ amount }}", "{{ sender }} vous a envoyé {{ amount }}."),
        "es": ("Has recibido {{ amount }}", "{{ sender }} te ha enviado {{ amount }}."),
    },
    "payment_failed": {
        "en": ("Payment failed", "Your payment of {{ amount }} for {{ order }} was declined."),
        "de": ("Zahlung fehlgeschlagen", "Deine Zahlung von {{ amount }} für {{ order }} wurde abgelehnt."),
    },
    "order_confirmed": {
        "en": ("Order {{ order }} confirmed", "Thank you, {{ name }}: {{ items }}, {{ amount }} in all."),
        "fr": ("Commande {{ order }} confirmée", "Merci, {{ name }} : {{ items }}, {{ amount }} au total."),
        "de": ("Bestellung {{ order }} bestätigt", "Danke, {{ name }}: {{ items }}, zusammen {{ amount }}."),
    },
    "order_shipped": {
        "en": ("Order {{ order }} is on its way", "{{ items }} left our warehouse."),
        "fr": ("Commande {{ order }} expédiée", "{{ items }} : le colis est parti."),
    },
    "delivery_eta": {
        "en": ("Arriving about {{ eta }}", "Your order {{ order }} arrives about {{ eta }}."),
        "fr": ("Livraison vers {{ eta }}", "Votre commande {{ order }} arrive vers {{ eta }}."),
        "es": ("Llega hacia las {{ eta }}", "Tu pedido {{ order }} llega hacia las {{ eta }}."),
    },
    "comment_mention": {
        "en": ("{{ sender }} mentioned you", "“{{ text }}”"),
        "ja": ("{{ sender }}さんからのメンション", "「{{ text }}」"),
    },
    "friend_request": {
        "en": ("{{ sender }} wants to be friends", "Answer {{ sender }} when you like."),
        "pt-BR": ("{{ sender }} quer ser seu amigo", "Responda a {{ sender }} quando quiser."),
    },
    "statement_ready": {
        "en": ("Your statement for {{ month }}", "{{ name }}, your statement for {{ month }} is ready."),
        "de": ("Dein Auszug für {{ month }}", "{{ name }}, dein Auszug für {{ month }} liegt bereit."),
    },
    "weekly_digest": {
        "en": ("Your week", "{{ name }}, {{ count }} things happened while you were away."),
        "fr": ("Votre semaine", "{{ name }}, il s'est passé {{ count }} choses en votre absence."),
        "es": ("Tu semana", "{{ name }}, han pasado {{ count }} cosas en tu ausencia."),
    },
    "promo": {
        "en": ("{{ offer }} today", "{{ name }}, today only: {{ offer }} on everything."),
        "fr": ("{{ offer }} aujourd'hui", "{{ name }}, aujourd'hui seulement : {{ offer }} sur tout."),
        "pt-BR": ("{{ offer }} hoje", "{{ name }}, só hoje: {{ offer }} em tudo."),
    },
    "price_drop": {
        "en": ("{{ item }}: now {{ price }}", "{{ item }} was {{ before }} and is {{ price }} now."),
        "ja": ("{{ item }} が {{ price }} に", "{{ item }} は {{ before }} から {{ price }} になりました。"),
    },
}

_HTML: Final = (
    '<!doctype html><html><body style="margin:0;background:#f4f1ea;font:16px/1.5 Georgia,serif;color:#222">'
    '<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center" '
    'style="padding:32px 16px"><table role="presentation" width="560" cellpadding="0" cellspacing="0" '
    'style="background:#fff;border-radius:8px"><tr><td style="padding:28px 36px;border-bottom:1px solid #e6e0d4">'
    "<strong>The Corner Shop</strong></td></tr>"
    '<tr><td style="padding:28px 36px"><h1 style="font-size:22px">@title@</h1><p>@body@</p></td></tr>'
    '<tr><td style="padding:20px 36px;color:#777;font-size:13px">You get this because you have an account with us.'
    "</td></tr></table></td></tr></table></body></html>"
)


def templates(channels: dict[str, tuple[str, ...]]) -> dict[str, dict[str, object]]:
    """For each type's name its template's body, as the API takes it; `channels` are those of each type."""
    return {name: _template(name, channels[name]) for name in WORDS}


def _template(name: str, channels: tuple[str, ...]) -> dict[str, object]:
    locales = {
        locale: {channel: _content(channel, title, body) for channel in channels}
        for locale, (title, body) in WORDS[name].items()
    }
    used = "".join(title + body for title, body in WORDS[name].values())
    sample = {key: value for key, value in _SAMPLE.items() if f"{{{{ {key} }}}}" in used}
    return {"locales": locales, "default_locale": "en", "sample": sample}


def _content(channel: str, title: str, body: str) -> dict[str, str]:
    match channel:
        case "email":
            html = _HTML.replace("@title@", title).replace("@body@", body)
            return {"subject": title, "text": f"{body}\n\nThe Corner Shop\n", "html": html}
        case "sms":
            return {"text": body}
        case _:
            return {"title": title, "body": body}
