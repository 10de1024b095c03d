"""Stands in for a card's captured graphs on a CPU."""


class Replayer:
    """A replay computes again what was recorded, over the same buffers."""

    def __init__(self) -> None:
        self.recorded = self.replayed = self.settled = 0

    def record(self, compute):
        self.recorded += 1
        output = compute().clone()

        def replay():
            self.replayed += 1
            output.copy_(compute())

        output.fill_(float("nan"))  # a recording computes nothing
        return replay, output

    def settle(self):
        self.settled += 1
