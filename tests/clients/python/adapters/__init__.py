"""The three Python clients behind one interface, so that each test says once what every client must see."""

from .aio import AioKafka
from .confluent import Confluent
from .kafka_python import KafkaPython

ALL = {client.name: client for client in (KafkaPython, Confluent, AioKafka)}
