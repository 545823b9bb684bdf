"""Keys land where Java's default partitioner puts them."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from shared.partitioner import murmur2, partition_for

JAVA_VECTORS = [  # org.apache.kafka.common.utils.UtilsTest.testMurmur2
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("data", "signed"), JAVA_VECTORS)
def test_the_hash_is_that_of_the_java_client(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed & 0xFFFF_FFFF


@given(st.binary(max_size=200))
def test_the_hash_is_that_of_aiokafka(data: bytes) -> None:
    assert murmur2(data) == reference(data) & 0xFFFF_FFFF


@given(st.text(min_size=1, max_size=128), st.integers(1, 64))
def test_a_key_goes_where_the_producer_would_put_it(key: str, partitions: int) -> None:
    places = list(range(partitions))

    assert partition_for(key, partitions) == DefaultPartitioner()(key.encode(), places, places)
