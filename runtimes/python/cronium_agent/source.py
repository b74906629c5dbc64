"""Reads a function's source: does it define a handler, and how is it compiled?"""

FILENAME = "/task/main.py"
ONLY_AST = 0x400  # ast.PyCF_ONLY_AST; the module ast itself costs 3 ms

SCRIPT, MAYBE, HANDLER = "script", "maybe", "handler"
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
DEFINITIONS = ("FunctionDef", "AsyncFunctionDef", "ClassDef", "ImportFrom", "Import")


def compile_source(code, name):
    """The code object and whether it binds `name`: `HANDLER`, `SCRIPT`, or `MAYBE` when only running it can tell."""
    tree = compile(code, FILENAME, "exec", ONLY_AST, dont_inherit=True)
    return compile(tree, FILENAME, "exec", dont_inherit=True), _binding(tree.body, name)


def _binding(statements, name):
    found = SCRIPT
    for statement in statements:
        kind = type(statement).__name__
        if kind in DEFINITIONS:
            if name in _defined(statement, kind):
                return HANDLER
            continue
        if _assigns(statement, name):
            if type(statement.value).__name__ == "Lambda":
                return HANDLER
            # `handler = logging.StreamHandler()` is common in scripts: it must run as `__main__`.
            if not _is_logging_handler(statement.value):
                found = MAYBE
            continue
        for block in BLOCKS:
            inner = getattr(statement, block, None)
            if isinstance(inner, list):
                below = _binding(inner, name)
                if below == HANDLER:
                    return HANDLER
                found = MAYBE if below == MAYBE else found
    return found


def _defined(statement, kind):
    if kind in ("ImportFrom", "Import"):
        return [alias.asname or alias.name for alias in statement.names]
    return [statement.name]


def _assigns(statement, name):
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    if type(statement).__name__ not in ("Assign", "AnnAssign") or statement.value is None:
        return False
    return any(_names(target, name) for target in targets)


def _names(target, name):
    if any(_names(element, name) for element in getattr(target, "elts", ())):
        return True
    return getattr(target, "id", None) == name


def _is_logging_handler(value):
    callee = getattr(value, "func", None)
    called = getattr(callee, "attr", None) or getattr(callee, "id", "")
    return called.endswith("Handler")
