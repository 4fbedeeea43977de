"""What can be wrong with a template: each class's docstring is its message.

TemplateFault
├── BadSource        at publishing: it does not compile, or uses what templates may not use
├── MissingVariable  at publishing (with the sample) and at sending
├── NotRendered      at sending: what only the data could show
└── NoContent        at sending: no locale of the chain has the channel
"""

import inspect


class TemplateFault(Exception):
    """Template {template}, field {field}: {problem}."""

    def __init__(self, *, template: str, field: str, line: int | None = None, problem: str = "") -> None:
        self.template = template
        self.field = field
        self.line = line
        self.problem = problem
        super().__init__(inspect.cleandoc(type(self).__doc__ or "").format_map(vars(self)))


class BadSource(TemplateFault):
    """Template {template}, field {field}, line {line}: {problem}."""


class MissingVariable(TemplateFault):
    """Template {template}, field {field}, line {line}: the variable {variable} is missing from the data."""

    def __init__(self, *, template: str, field: str, line: int | None, variable: str) -> None:
        self.variable = variable
        super().__init__(template=template, field=field, line=line, problem=f"the variable {variable} is missing")


class NotRendered(TemplateFault):
    """Template {template}, field {field}, line {line}: {problem}, with this notification's data."""


class NoContent(TemplateFault):
    """Template {template}: {field} has no content, in this locale or the default one."""
