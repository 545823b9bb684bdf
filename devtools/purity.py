"""A contract for import-linter: whatever is not listed as impure is pure.

A module that does input or output, or asks the machine for time, ids or chance, is named once, in
pyproject.toml. Every other module may import neither such a module nor a library of that kind. So a new
module is pure until somebody names it.
"""

from collections.abc import Iterator

from grimp import DetailedImport, ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules


class PurityContract(Contract):
    """`within`: the packages that it is about. `impure_modules` and `impure_libraries`: what is named."""

    type_name = "purity"

    within = fields.ListField(subfield=fields.StringField())
    impure_modules = fields.ListField(subfield=fields.ModuleExpressionField())
    impure_libraries = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Finds every import of something impure by a module that is not."""
        impure = self._impure(graph)
        found = [
            f"{module} imports {imported} (line {line})"
            for module in sorted(graph.modules - impure)
            if module.partition(".")[0] in list(self.within)  # type: ignore[call-overload]
            for imported, line in self._wrong_imports(graph, module, impure)
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Says which imports are wrong, and what to do."""
        for line in check.metadata["found"]:
            output.print_error(line)
        output.new_line()
        output.print_error("Hand the time, the id or the row in; or name the module among impure_modules.")

    def _impure(self, graph: ImportGraph) -> set[str]:
        named = module_expressions_to_modules(graph, self.impure_modules)  # type: ignore[arg-type]
        impure = {module.name for module in named}
        for module in named:
            impure |= graph.find_descendants(module.name)
        return impure

    def _wrong_imports(self, graph: ImportGraph, module: str, impure: set[str]) -> Iterator[tuple[str, int]]:
        libraries = set(self.impure_libraries)  # type: ignore[call-overload]
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported in impure or imported in libraries:
                details: list[DetailedImport] = graph.get_import_details(importer=module, imported=imported)
                yield imported, details[0]["line_number"] if details else 0
