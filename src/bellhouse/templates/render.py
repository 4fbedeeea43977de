"""Renders the content of deliveries, keeping compiled templates within a bound."""

from typing import Final

from bellhouse.domain.catalogue import Template
from bellhouse.domain.content import Content
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.words import Channel
from bellhouse.templates.compile import CompiledTemplate, Context

CAPACITY: Final = 512
"""Template versions kept compiled; each takes some tens of kilobytes."""


class Renderer:
    """Compiled template versions by tenant, name and version; the one that was not used for longest gives way."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._known: dict[tuple[TenantNo, str, int], CompiledTemplate] = {}

    def compiled(self, tenant: TenantNo, template: Template) -> CompiledTemplate:
        """The compiled version: take it once for a batch of the same template.

        A published version never changes, so it is known by its number; compile a draft by CompiledTemplate itself.
        """
        key = (tenant, template.name, template.version)
        found = self._known.pop(key, None)
        if found is None:
            if len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]
            found = CompiledTemplate(template, f"{tenant}:{template.name}:{template.version}")
        self._known[key] = found
        return found

    def render(
        self, tenant: TenantNo, template: Template, locale: str, channel: Channel, data: Context, user_id: str
    ) -> Content:
        """The content of one channel in a recipient's locale.

        The keys of `data` are variables; `recipient` is `{user_id, locale}` whatever the data say. Raises
        MissingVariable, NotRendered and NoContent, whose texts name template, field and line.
        """
        return self.compiled(tenant, template).channel(locale, channel).render(data, user_id, locale)

    def __len__(self) -> int:
        return len(self._known)
