class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, obj, kind=None):
        return self if obj is None else getattr(obj, self.name)

    def __set__(self, obj, value):
        if value <= 0:
            raise ValueError(f"{self.name[1:]} must be positive")
        setattr(obj, self.name, value)


class Order:
    amount = Positive()

    def __init__(self, amount):
        self.amount = amount

    def __getattr__(self, name):
        return f"dynamic {name}"


order = Order(3)
print(order.amount, order.other, vars(order))
order.amount = -1
