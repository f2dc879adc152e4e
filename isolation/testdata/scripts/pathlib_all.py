from pathlib import Path, PurePosixPath

root = Path("tree")
(root / "a" / "b").mkdir(parents=True)
(root / "a" / "x.txt").write_text("héllo", encoding="utf-8")
(root / "y.txt").touch()
print(sorted(p.as_posix() for p in root.rglob("*")), (root / "a/x.txt").read_bytes())
print(PurePosixPath("/a/../b.tar.gz").suffixes, Path("a/b").with_suffix(".c"), Path("/x/y").relative_to("/x"))
print(Path.cwd() == Path(__file__).parent, Path(__file__).name, Path("tree").resolve() == Path.cwd() / "tree")
