"""Time and memory of this library beside transformers and full attention.

``python -m benchmarks quick`` (``make bench``) takes some minutes, ``python -m benchmarks full`` (``make bench-full``)
half an hour. Both print what they measured and write ``benchmarks/results/*.json``. ``NOTES.md`` says how the speed
came about.

How it is measured:

* All programs of a case run in one process, with the same weights, in turns; a figure is the median of the rounds,
  and the lowest and highest round stand beside it.
* Each memory peak has a process of its own.
* Everything is timed under two allocators: the C library's as it is, which gives large blocks back to the system
  and pays for every page again, and one that keeps its pages (``ALLOCATORS``).
* The machine's rate of matrix products is measured in the same run; the bound of a case is its number of
  multiply-adds (:mod:`benchmarks.bounds`) at that rate.
"""
