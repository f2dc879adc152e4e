import ast
import dis
import io
import tokenize

tree = ast.parse("x = [i ** 2 for i in range(3)]\nprint(x)")
print(ast.dump(tree.body[0].targets[0]), ast.unparse(tree), ast.literal_eval("{'a': (1, -2)}"))


class Doubler(ast.NodeTransformer):
    def visit_Constant(self, node):
        return ast.copy_location(ast.Constant(node.value * 2), node)


exec(compile(ast.fix_missing_locations(Doubler().visit(tree)), "<ast>", "exec"))
print([t.string for t in tokenize.generate_tokens(io.StringIO("a += 1").readline)][:3])
print([i.opname for i in dis.get_instructions("pass")][-1].startswith("RETURN"))
