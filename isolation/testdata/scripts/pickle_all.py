import copy
import pickle


class Account:
    def __init__(self, owner, balance):
        self.owner, self.balance = owner, balance

    def __getstate__(self):
        return {"owner": self.owner, "balance": self.balance}

    def __setstate__(self, state):
        self.__dict__.update(state, restored=True)

    def __repr__(self):
        return f"Account({self.__dict__})"


def helper():
    return 1


for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    assert pickle.loads(pickle.dumps(Account("x", 1), protocol)).restored
print(pickle.loads(pickle.dumps(Account("ann", 5))), pickle.loads(pickle.dumps(helper)) is helper)
print(b"__main__" in pickle.dumps(Account("a", 1)), copy.deepcopy([{"a": Account("b", 2)}]))
try:
    pickle.dumps(lambda: 0)
except (pickle.PicklingError, AttributeError) as exc:
    print(type(exc).__name__)
