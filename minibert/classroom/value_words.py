"""Values of the reference in words, for learners who have never seen its names."""

import ast
from collections.abc import Set

OPERATIONS: dict[type[ast.operator], str] = {
    ast.Add: "sum",
    ast.Sub: "difference",
    ast.Mult: "product",
    ast.Div: "quotient",
    ast.MatMult: "matrix product",
    ast.Pow: "power",
}


def computed_values(code: str) -> dict[str, ast.expr | None]:
    """Return the expression of each variable of a function, in order; None for one without an expression of its own."""
    tree = ast.parse(code)
    values = {id(target): node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets}
    stored = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store)]
    found: dict[str, ast.expr | None] = {}
    for node in sorted(stored, key=lambda node: (node.lineno, node.col_offset)):
        found.setdefault(ast.unparse(node), values.get(id(node)))
    found.pop("_", None)
    return found


def in_words(name: str, value: ast.expr | None, known: Set[str]) -> str:
    """Return a variable as code if its name is known, else words for its last operation, such as "the value of `exp`".

    >>> in_words("exponentials", ast.parse("torch.exp(scores)", mode="eval").body, {"scores"})
    'the value of `exp`'
    """
    if name.partition(".")[0] in known:
        return f"`{name}`"
    return f"the {_operation(value)}"


def _operation(value: ast.expr | None) -> str:
    match value:
        case ast.Call(func=ast.Name(id="observe"), args=[_, inner]):
            return _operation(inner)
        case ast.Call(func=ast.Attribute(attr=function)) | ast.Call(func=ast.Name(id=function)):
            return f"value of `{function}`"
        case ast.BinOp(op=operator) if type(operator) in OPERATIONS:
            return OPERATIONS[type(operator)]
        case ast.UnaryOp(operand=inner) | ast.IfExp(orelse=inner):
            return _operation(inner)
        case ast.Attribute(attr="shape") | ast.Subscript(value=ast.Attribute(attr="shape")):
            return "size of an axis"
        case ast.Subscript(value=inner) | ast.Attribute(value=inner):
            whole = _operation(inner)
            return whole if whole.startswith("part of") else f"part of the {whole}"
        case ast.Compare():
            return "comparison"
    return "value of a step"
