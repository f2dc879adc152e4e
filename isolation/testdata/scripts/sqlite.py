import sqlite3

db = sqlite3.connect("data.db")
with db:
    db.execute("create table t (id integer primary key, name text, score real)")
    db.executemany("insert into t (name, score) values (?, ?)", [("a", 1.5), ("b", 2.5), ("ü", None)])
db.row_factory = sqlite3.Row
print([dict(row) for row in db.execute("select * from t order by id")])
db.create_function("twice", 1, lambda x: None if x is None else x * 2)
print(db.execute("select twice(score) from t").fetchall()[0][0])
try:
    with db:
        db.execute("insert into t (id) values (1)")
except sqlite3.IntegrityError as exc:
    print(exc)
db.close()
