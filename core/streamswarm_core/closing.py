from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """What is closed at the end of a `with`, as a file is."""

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
