"""The routes of notification types and templates."""

from typing import Annotated

from litestar import Controller, get, post, put
from litestar.params import JSONBody, QueryParameter

from bellhouse.catalogue.wire import (
    Preview,
    PreviewAnswer,
    PreviewRequest,
    TemplateAnswer,
    TemplateName,
    TemplateRequest,
    TemplatesAnswer,
    TypeAnswer,
    TypeRequest,
    TypesAnswer,
    field_error,
    preview_of,
    template_answer,
    template_of,
    type_answer,
    type_of,
)
from bellhouse.domain.catalogue import Template
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.words import Channel
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.telemetry import Telemetry
from bellhouse.templates.compile import CompiledTemplate, channels_of
from bellhouse.templates.errors import MissingVariable, TemplateFault
from bellhouse.templates.publish import check
from bellhouse.web.parameters import NameInPath
from bellhouse.web.problems import FieldError, Problem, invalid
from bellhouse.web.rest import OF_BODY, Given, StrictRequest, caller_of, needs, problems

Store = Given[CatalogueStore]
Counters = Given[Telemetry]
Version = Annotated[int | None, QueryParameter(ge=1, description="Left out, the newest.")]


class TypesController(Controller):
    """Notification types."""

    path = "/v1/types"
    tags = ("Types and templates",)

    @get(
        guards=[needs("read")], summary="Every type", operation_id="listTypes", responses=problems("validation_failed")
    )
    async def all(self, request: StrictRequest, catalogue: Store) -> TypesAnswer:
        """The tenant's types by name."""
        return TypesAnswer([type_answer(kind) for kind in await catalogue.types(caller_of(request).tenant)])

    @put(
        "/{name:str}",
        guards=[needs("manage")],
        summary="Define a type",
        operation_id="putType",
        responses=problems(*OF_BODY),
    )
    async def put_one(
        self,
        name: NameInPath,
        data: JSONBody[TypeRequest],
        request: StrictRequest,
        catalogue: Store,
        telemetry: Counters,
    ) -> TypeAnswer:
        """Create or replace a type; notifications that are not routed yet follow the new plan."""
        if len(set(data.channels)) != len(data.channels):
            raise invalid(FieldError("channels", "duplicate", "a channel is named twice"))
        kind = type_of(name, data)
        await catalogue.put_type(caller_of(request).tenant, kind)
        telemetry.register("type", (name,))
        return type_answer(kind)

    @get(
        "/{name:str}",
        guards=[needs("read")],
        summary="A type",
        operation_id="getType",
        responses=problems("type_not_found", "validation_failed"),
    )
    async def get_one(self, name: NameInPath, request: StrictRequest, catalogue: Store) -> TypeAnswer:
        """Category, default priority, channels and their order, lifetime, template."""
        kind = await catalogue.type(caller_of(request).tenant, name)
        if kind is None:
            raise Problem("type_not_found", f"There is no type {name!r}.")
        return type_answer(kind)


class TemplatesController(Controller):
    """Templates and their preview."""

    path = "/v1/templates"
    tags = ("Types and templates",)

    @get(
        guards=[needs("read")],
        summary="Every template",
        operation_id="listTemplates",
        responses=problems("validation_failed"),
    )
    async def all(self, request: StrictRequest, catalogue: Store) -> TemplatesAnswer:
        """The tenant's templates, each with its newest version."""
        names = await catalogue.template_names(caller_of(request).tenant)
        return TemplatesAnswer([TemplateName(name, version) for name, version in names.items()])

    @put(
        "/{name:str}",
        guards=[needs("manage")],
        summary="Publish a template",
        operation_id="putTemplate",
        responses=problems(*OF_BODY),
    )
    async def put_one(
        self, name: NameInPath, data: JSONBody[TemplateRequest], request: StrictRequest, catalogue: Store
    ) -> TemplateAnswer:
        """Publish a new version, if the sample data render every locale and channel with no variable missing."""
        template = template_of(name, data)
        errors = tuple(field_error(problem) for problem in check(template))
        if errors:
            raise invalid(*errors)
        tenant = caller_of(request).tenant
        version = await catalogue.put_template(tenant, template)
        return template_answer(await _template(catalogue, tenant, name, version))

    @get(
        "/{name:str}",
        guards=[needs("read")],
        summary="A template",
        operation_id="getTemplate",
        responses=problems("template_not_found", "validation_failed"),
    )
    async def get_one(
        self, name: NameInPath, request: StrictRequest, catalogue: Store, version: Version = None
    ) -> TemplateAnswer:
        """A version's sources and sample."""
        return template_answer(await _template(catalogue, caller_of(request).tenant, name, version))

    @post(
        "/{name:str}/preview",
        status_code=200,
        guards=[needs("read")],
        summary="Preview a template",
        operation_id="previewTemplate",
        responses=problems("template_not_found", *OF_BODY),
    )
    async def preview(
        self, name: NameInPath, data: JSONBody[PreviewRequest], request: StrictRequest, catalogue: Store
    ) -> PreviewAnswer:
        """Render every channel, exactly as it would go out; nothing is sent or stored."""
        if data.draft is not None:
            template = template_of(name, data.draft)
        else:
            template = await _template(catalogue, caller_of(request).tenant, name, data.version)
        locale = data.locale or template.default_locale
        sample = template.sample if data.data is None else data.data
        compiled = CompiledTemplate(template)
        shown = {channel: _preview(compiled, locale, channel, sample) for channel in sorted(channels_of(template))}
        return PreviewAnswer(name, template.version, locale, shown)


def _preview(compiled: CompiledTemplate, locale: str, channel: Channel, data: dict[str, object]) -> Preview:
    try:
        return preview_of(compiled.channel(locale, channel).render(data, "preview", locale))
    except MissingVariable as fault:
        return Preview(error=FieldError(fault.field, "missing_variable", str(fault)))
    except TemplateFault as fault:
        return Preview(error=FieldError(fault.field, "template_error", str(fault)))


async def _template(catalogue: CatalogueStore, tenant: TenantNo, name: str, version: int | None) -> Template:
    template = await catalogue.template(tenant, name, version)
    if template is None:
        which = f"template {name!r}" if version is None else f"version {version} of template {name!r}"
        raise Problem("template_not_found", f"There is no {which}.")
    return template
