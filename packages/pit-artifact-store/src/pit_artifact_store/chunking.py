"""Cuts artifacts where their content says so, that what two of them share is stored once.

The larger an artifact, the larger its chunks: small ones find more in common, and cost more to keep track of. Where
the cuts are depends on a secret of the store: the sizes of chunks tell nobody which known file they are of.

Source: W. Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for Data Deduplication",
USENIX ATC 2016.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import Final

from pyfastcdc import FastCDC

WHOLE: Final = 2 << 10
"""Bytes up to which an artifact is one chunk."""

_AVERAGES: Final = ((64 << 10, 3 << 9), (512 << 10, 8 << 10), (4 << 20, 32 << 10))
_LARGE: Final = 64 << 10
LARGEST_CHUNK: Final = 4 * _LARGE


_WINDOW: Final = 8 << 20
_SEEDS: Final = (1 << 63) - 1  # what FastCDC takes


class Chunker:
    """Cuts the artifacts of a store.

    Args:
        seed: The store's secret, 64 bits.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed & _SEEDS
        self._by_average: dict[int, FastCDC] = {}

    def cut(self, data: memoryview) -> Iterator[memoryview]:
        """The chunks of an artifact.

        Args:
            data: All of its bytes.
        """
        if len(data) <= WHOLE:
            return iter((data,))
        return (chunk.data for chunk in self._of(len(data)).cut_buf(data))

    def cut_stream(self, parts: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
        """The chunks of an artifact that comes in parts; the same as if it had come at once.

        Args:
            parts: Its bytes.
        """
        window = bytearray()
        whole = True
        for part in parts:
            window += part
            if len(window) >= _WINDOW:
                whole = False
                window = yield from self._cut_window(window)
        if whole:
            yield from self.cut(memoryview(bytes(window)))
        else:
            yield from (chunk.data for chunk in self._of(_WINDOW).cut_buf(bytes(window)))

    def _cut_window(self, window: bytearray) -> Generator[memoryview, None, bytearray]:
        """Cut a window but for its end, which is returned: more may belong to the last chunk."""
        data = memoryview(bytes(window))
        end = 0
        for chunk in self._of(_WINDOW).cut_buf(data):
            if chunk.offset + chunk.length > len(data) - LARGEST_CHUNK:
                break
            end = chunk.offset + chunk.length
            yield chunk.data
        return bytearray(data[end:])

    def _of(self, size: int) -> FastCDC:
        average = next((average for limit, average in _AVERAGES if size <= limit), _LARGE)
        if average not in self._by_average:
            self._by_average[average] = FastCDC(
                avg_size=average, min_size=average // 4, max_size=4 * average, seed=self._seed
            )
        return self._by_average[average]
