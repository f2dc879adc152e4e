class Thing:
    def method(self):
        return self.missing


Thing().method()
