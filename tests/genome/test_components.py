from workflow.genome.components import connected


def test_connected() -> None:
    assert connected(7, [(5, 2), (2, 6), (1, 0), (3, 3)]).tolist() == [0, 0, 2, 3, 4, 2, 2]
    assert connected(0, []).tolist() == []
