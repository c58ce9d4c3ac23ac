package chronik;

import static chronik.Broker.failure;
import static chronik.Broker.get;
import static chronik.Broker.read;
import static chronik.Broker.send;
import static chronik.Broker.sendNumbers;
import static chronik.Broker.topic;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Producing and consuming with the reference client. */
class RecordsTest {
  /** The first timestamp of test data: two hours ago, for older records would soon fall to the retention. */
  private static final long T0 = (System.currentTimeMillis() / 1000 - 7200) * 1000;

  /** One record alone in a batch of message format 2: no key, no headers, sizes that need a varint of three bytes. */
  private static final int BATCH_OVERHEAD = 72;

  private static Admin admin;

  @BeforeAll
  static void connect() {
    admin = Broker.admin();
  }

  @AfterAll
  static void disconnect() {
    admin.close();
  }

  private static byte[] bytes(String text) {
    return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
  }

  private static ProducerRecord<byte[], byte[]> value(String topic, byte[] value) {
    return new ProducerRecord<>(topic, 0, null, value);
  }

  private static List<ProducerRecord<byte[], byte[]>> varied(String topic, int count) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      byte[] key = i % 3 == 0 ? null : bytes(i % 3 == 1 ? "" : "key-" + i);
      byte[] value = i % 4 == 0 ? null : bytes(i % 4 == 1 ? "" : ("value-" + i + " ").repeat(20));
      ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, 0, T0 + i * 1000L, key, value);
      if (i % 2 == 0) {
        record.headers().add("twice", bytes("1")).add("twice", bytes("2")).add("empty", bytes("")).add("null", null);
      }
      records.add(record);
    }
    return records;
  }

  private static void assertSame(List<ProducerRecord<byte[], byte[]>> sent, List<ConsumerRecord<byte[], byte[]>> got) {
    assertEquals(sent.size(), got.size());
    for (int i = 0; i < sent.size(); i++) {
      assertArrayEquals(sent.get(i).key(), got.get(i).key());
      assertArrayEquals(sent.get(i).value(), got.get(i).value());
      assertEquals(sent.get(i).timestamp(), got.get(i).timestamp());
      Header[] left = sent.get(i).headers().toArray();
      Header[] right = got.get(i).headers().toArray();
      assertEquals(left.length, right.length);
      for (int h = 0; h < left.length; h++) {
        assertEquals(left[h].key(), right[h].key());
        assertArrayEquals(left[h].value(), right[h].value());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"none", "gzip", "snappy", "lz4", "zstd"})
  void recordsComeBackAsTheyWereSent(String codec) {
    String topic = topic(admin, "codec-" + codec, 1);
    List<ProducerRecord<byte[], byte[]>> sent = varied(topic, 60);
    List<RecordMetadata> acknowledged = send(sent, "compression.type", codec);
    for (int i = 0; i < 60; i++) {
      assertEquals(i, acknowledged.get(i).offset());
    }
    assertSame(sent, read(topic, 0, 0, 60));
    for (int offset : new int[] {1, 17, 59}) {
      assertSame(sent.subList(offset, 60), read(topic, 0, offset, 60 - offset));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"uncompressed", "gzip", "snappy", "lz4", "zstd"})
  void theTopicRecompresses(String codec) {
    String topic = topic(admin, "recompress-" + codec, 1, "compression.type", codec);
    List<ProducerRecord<byte[], byte[]>> sent = varied(topic, 40);
    send(sent.subList(0, 10));
    send(sent.subList(10, 20), "compression.type", "lz4");
    send(sent.subList(20, 30), "compression.type", "snappy");
    send(sent.subList(30, 40), "compression.type", "zstd");
    assertSame(sent, read(topic, 0, 0, 40));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "1", "all"})
  void everyKindOfAcknowledgement(String acks) {
    String topic = topic(admin, "acks", 1);
    List<RecordMetadata> sent =
        send(List.of(value(topic, bytes("v"))), "acks", acks, "enable.idempotence", false);
    assertEquals(!acks.equals("0"), sent.get(0).hasOffset());
    assertArrayEquals(bytes("v"), read(topic, 0, 0, 1).get(0).value());
  }

  @Test
  void theIdempotentProducerKeepsOrderWithoutGaps() {
    String topic = topic(admin, "idempotent", 1);
    List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
    for (int i = 0; i < 5000; i++) {
      sent.add(value(topic, bytes(String.format("%06d", i))));
    }
    // Small batches and no linger: many requests in flight, which the broker must take in their order.
    send(sent, "enable.idempotence", true, "acks", "all", "batch.size", 512, "linger.ms", 0);
    List<ConsumerRecord<byte[], byte[]>> got = read(topic, 0, 0, 5000);
    for (int i = 0; i < 5000; i++) {
      assertEquals(i, got.get(i).offset());
      assertArrayEquals(sent.get(i).value(), got.get(i).value());
    }
    var producers = get(admin.describeProducers(List.of(new TopicPartition(topic, 0))).all());
    var state = producers.get(new TopicPartition(topic, 0)).activeProducers();
    assertEquals(1, state.size());
    assertTrue(state.get(0).producerId() >= 0);
    assertTrue(state.get(0).lastSequence() == 4999);
    assertTrue(state.get(0).currentTransactionStartOffset().isEmpty());
  }

  @Test
  void offsetsByTime() {
    String topic = topic(admin, "time", 1);
    send(varied(topic, 20), "compression.type", "gzip");
    TopicPartition tp = new TopicPartition(topic, 0);
    try (KafkaConsumer<byte[], byte[]> consumer = Broker.consumer()) {
      Map<Long, Long> expected = Map.of(0L, 0L, T0, 0L, T0 + 7000, 7L, T0 + 7001, 8L, T0 + 19_000, 19L);
      expected.forEach((time, offset) -> {
        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(tp, time)).get(tp);
        assertEquals(offset, found.offset());
        assertEquals(T0 + offset * 1000, found.timestamp());
        assertTrue(found.leaderEpoch().isPresent());
      });
      assertNull(consumer.offsetsForTimes(Map.of(tp, T0 + 19_001)).get(tp));
    }
  }

  @Test
  void everySpecialOffset() {
    String topic = topic(admin, "special", 1);
    TopicPartition tp = new TopicPartition(topic, 0);
    assertEquals(-1, get(admin.listOffsets(Map.of(tp, OffsetSpec.maxTimestamp())).partitionResult(tp)).offset());
    send(List.of(
        new ProducerRecord<>(topic, 0, T0, null, bytes("a")),
        new ProducerRecord<>(topic, 0, T0 + 9, null, bytes("latest in time")),
        new ProducerRecord<>(topic, 0, T0 + 5, null, bytes("c"))));
    var max = get(admin.listOffsets(Map.of(tp, OffsetSpec.maxTimestamp())).partitionResult(tp));
    assertEquals(1, max.offset());
    assertEquals(T0 + 9, max.timestamp());
    assertEquals(0, get(admin.listOffsets(Map.of(tp, OffsetSpec.earliest())).partitionResult(tp)).offset());
    assertEquals(0, get(admin.listOffsets(Map.of(tp, OffsetSpec.earliestLocal())).partitionResult(tp)).offset());
    assertEquals(3, get(admin.listOffsets(Map.of(tp, OffsetSpec.latest())).partitionResult(tp)).offset());
    assertEquals(-1, get(admin.listOffsets(Map.of(tp, OffsetSpec.latestTiered())).partitionResult(tp)).offset());
  }

  @Test
  void logAppendTime() {
    String topic = topic(admin, "append-time", 1, "message.timestamp.type", "LogAppendTime");
    long before = System.currentTimeMillis();
    RecordMetadata acknowledged = send(varied(topic, 3), "compression.type", "zstd").get(0);
    for (ConsumerRecord<byte[], byte[]> record : read(topic, 0, 0, 3)) {
      assertEquals(TimestampType.LOG_APPEND_TIME, record.timestampType());
      assertEquals(acknowledged.timestamp(), record.timestamp());
      assertTrue(record.timestamp() >= before && record.timestamp() <= System.currentTimeMillis());
    }
  }

  @Test
  void theSizeLimitIsExact() {
    String topic = topic(admin, "limit", 1, "max.message.bytes", "100000");
    byte[] most = new byte[100_000 - BATCH_OVERHEAD];
    send(List.of(value(topic, most)));
    try (KafkaProducer<byte[], byte[]> producer = Broker.producer()) {
      Throwable error = failure(producer.send(value(topic, new byte[most.length + 1])));
      assertInstanceOf(RecordTooLargeException.class, error);
      assertArrayEquals(most, read(topic, 0, 0, 1).get(0).value());
    }
    // What compresses to less than the limit is taken.
    send(List.of(value(topic, new byte[500_000])), "compression.type", "zstd");
    assertEquals(500_000, read(topic, 0, 1, 1).get(0).value().length);
  }

  @Test
  void aBigRecordIsFetchedThroughASmallFetchSize() {
    String topic = topic(admin, "big", 1, "max.message.bytes", "8388608");
    byte[] big = new byte[4 << 20];
    big[big.length - 1] = 7;
    send(List.of(value(topic, big), value(topic, bytes("after"))), "max.request.size", 8 << 20);
    try (KafkaConsumer<byte[], byte[]> consumer =
        Broker.consumer("max.partition.fetch.bytes", 1024, "fetch.max.bytes", 2048)) {
      TopicPartition tp = new TopicPartition(topic, 0);
      consumer.assign(List.of(tp));
      consumer.seek(tp, 0);
      List<ConsumerRecord<byte[], byte[]>> got = Broker.poll(consumer, 2);
      assertArrayEquals(big, got.get(0).value());
      assertArrayEquals(bytes("after"), got.get(1).value());
    }
  }

  @Test
  void badRecordsAreRefusedWithTheReason() {
    String compacted = topic(admin, "compacted", 1, "cleanup.policy", "compact");
    String strict = topic(admin, "strict", 1, "message.timestamp.before.max.ms", "60000");
    try (KafkaProducer<byte[], byte[]> producer = Broker.producer()) {
      Throwable noKey = failure(producer.send(value(compacted, bytes("no key"))));
      assertInstanceOf(InvalidRecordException.class, noKey);
      assertInstanceOf(
          InvalidTimestampException.class,
          failure(producer.send(new ProducerRecord<>(strict, 0, T0, null, bytes("old")))));
      assertInstanceOf(
          InvalidTopicException.class, failure(producer.send(new ProducerRecord<>("bad topic", bytes("v")))));
    }
  }

  @Test
  void outOfRangeFollowsTheResetPolicy() {
    String topic = topic(admin, "range", 1);
    TopicPartition tp = new TopicPartition(topic, 0);
    sendNumbers(topic, 0, 0, 10);
    get(admin.deleteRecords(Map.of(tp, org.apache.kafka.clients.admin.RecordsToDelete.beforeOffset(4))).all());
    for (long offset : new long[] {0, 1000}) {
      try (KafkaConsumer<byte[], byte[]> none = Broker.consumer()) {
        none.assign(List.of(tp));
        none.seek(tp, offset);
        var error = assertThrows(
            OffsetOutOfRangeException.class,
            () -> Broker.eventually(() -> none.poll(Duration.ofMillis(200)) == null));
        assertEquals(Map.of(tp, offset), error.offsetOutOfRangePartitions());
      }
      try (KafkaConsumer<byte[], byte[]> earliest = Broker.consumer("auto.offset.reset", "earliest")) {
        earliest.assign(List.of(tp));
        earliest.seek(tp, offset);
        assertEquals(4, Broker.poll(earliest, 1).get(0).offset());
      }
      try (KafkaConsumer<byte[], byte[]> latest = Broker.consumer("auto.offset.reset", "latest")) {
        latest.assign(List.of(tp));
        latest.seek(tp, offset);
        Broker.eventually(() -> {
          latest.poll(Duration.ofMillis(100));
          return latest.position(tp) == 10;
        });
      }
    }
    try (KafkaConsumer<byte[], byte[]> none = Broker.consumer("group.id", Broker.unique("none"))) {
      none.assign(List.of(tp));
      assertThrows(
          NoOffsetForPartitionException.class,
          () -> Broker.eventually(() -> none.poll(Duration.ofMillis(200)) == null));
    }
  }

  @Test
  void aConsumerWithoutAutomaticCreationCreatesNothing() {
    String topic = Broker.unique("absent");
    try (KafkaConsumer<byte[], byte[]> consumer = Broker.consumer("allow.auto.create.topics", false)) {
      assertTrue(consumer.partitionsFor(topic, Duration.ofSeconds(2)).isEmpty());
    }
    assertTrue(!get(admin.listTopics().names()).contains(topic));
  }

  @Test
  void theFirstRecordCreatesTheTopic() {
    String topic = Broker.unique("auto");
    assertEquals(0, send(List.of(new ProducerRecord<>(topic, bytes("v")))).get(0).offset());
    assertTrue(get(admin.listTopics().names()).contains(topic));
  }

  @Test
  void keysSpreadOverPartitionsAndStay() {
    String topic = topic(admin, "keys", 4);
    List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      sent.add(new ProducerRecord<>(topic, bytes("k" + i % 10), bytes("" + i)));
    }
    List<RecordMetadata> acknowledged = send(sent);
    Set<String> pairs = new HashSet<>();
    for (int i = 0; i < 100; i++) {
      pairs.add(i % 10 + ":" + acknowledged.get(i).partition());
    }
    assertEquals(10, pairs.size());
    try (KafkaConsumer<byte[], byte[]> consumer = Broker.consumer()) {
      List<TopicPartition> all = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(all);
      consumer.seekToBeginning(all);
      assertEquals(100, Broker.poll(consumer, 100).size());
      assertEquals(100, consumer.endOffsets(all).values().stream().mapToLong(Long::longValue).sum());
    }
  }
}
