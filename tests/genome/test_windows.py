import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.genome.windows import cut_windows

BASES = "ACGTNacgtnRyGGCCgg" * 20


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 120), st.integers(0, 100), st.integers(1, 200))
def test_windows_tile_the_region(genome_of, one, other, chunk_bases, start, length_of_region) -> None:
    min_length, length = sorted((one, other))
    end = start + length_of_region
    regions = pd.DataFrame({"seqid": ["a"], "start": [start], "end": [end], "split": ["val"]})
    windows = cut_windows(genome_of({"a": BASES}), regions, length, min_length, chunk_bases)
    expected = [(s, min(s + length, end)) for s in range(start, end, length) if min(s + length, end) - s >= min_length]
    assert list(zip(windows["start"], windows["end"], strict=True)) == expected
    assert windows["sequence_id"].tolist() == [f"a:{s}-{e}(+)" for s, e in expected]
    assert set(windows["split"]) <= {"val"}
    for row in windows.itertuples():
        text = BASES[row.start : row.end]
        gc, at = (sum(text.upper().count(base) for base in pair) for pair in ("GC", "AT"))
        np.testing.assert_allclose(row.gc, gc / (gc + at) if gc + at else np.nan)
        np.testing.assert_allclose(row.soft_masked, sum(map(str.islower, text)) / len(text))
