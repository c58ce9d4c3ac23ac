package chronik;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The broker under test, and the few calls that every test makes. */
final class Broker {
  static final String BOOTSTRAP = required("BOOTSTRAP");
  /** The addresses of all nodes. */
  static final List<String> NODES = List.of(BOOTSTRAP.split(","));
  /** Every node has a replica of every partition. */
  static final short REPLICAS = (short) NODES.size();
  static final long CALL_SECONDS = 20;

  private Broker() {}

  static String required(String variable) {
    String value = System.getenv(variable);
    if (value == null) {
      throw new IllegalStateException(variable + " is not set: run the suite through tests/clients/run");
    }
    return value;
  }

  static String unique(String stem) {
    return stem + "-" + UUID.randomUUID().toString().substring(0, 12);
  }

  static Admin admin() {
    return Admin.create(Map.of("bootstrap.servers", BOOTSTRAP));
  }

  static KafkaProducer<byte[], byte[]> producer(Object... settings) {
    return new KafkaProducer<>(
        properties(settings, "bootstrap.servers", BOOTSTRAP, "request.timeout.ms", 10_000, "delivery.timeout.ms", 20_000, "linger.ms", 20),
        new ByteArraySerializer(),
        new ByteArraySerializer());
  }

  static KafkaConsumer<byte[], byte[]> consumer(Object... settings) {
    return new KafkaConsumer<>(
        properties(settings, "bootstrap.servers", BOOTSTRAP, "auto.offset.reset", "none", "enable.auto.commit", false),
        new ByteArrayDeserializer(),
        new ByteArrayDeserializer());
  }

  /** A member of a classic group that notices a rebalance soon. */
  static KafkaConsumer<byte[], byte[]> member(String group, String topic, Object... settings) {
    Object[] all = new Object[settings.length + 10];
    System.arraycopy(
        new Object[] {
          "group.id", group, "group.protocol", "classic", "auto.offset.reset", "earliest",
          "session.timeout.ms", 10_000, "heartbeat.interval.ms", 300,
        }, 0, all, 0, 10);
    System.arraycopy(settings, 0, all, 10, settings.length);
    KafkaConsumer<byte[], byte[]> consumer = consumer(all);
    consumer.subscribe(List.of(topic));
    return consumer;
  }

  private static Properties properties(Object[] settings, Object... defaults) {
    Properties properties = new Properties();
    for (Object[] pairs : new Object[][] {defaults, settings}) {
      for (int i = 0; i < pairs.length; i += 2) {
        properties.put(pairs[i], pairs[i + 1]);
      }
    }
    return properties;
  }

  static String topic(Admin admin, String stem, int partitions, String... configs) {
    String name = unique(stem);
    Map<String, String> config = new HashMap<>();
    for (int i = 0; i < configs.length; i += 2) {
      config.put(configs[i], configs[i + 1]);
    }
    get(admin.createTopics(List.of(new NewTopic(name, partitions, REPLICAS).configs(config))).all());
    awaitPartitions(admin, name, partitions);
    return name;
  }

  /** Waits until every partition serves: creation is acknowledged before the broker leads it. */
  static void awaitPartitions(Admin admin, String name, int partitions) {
    Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
    for (int i = 0; i < partitions; i++) {
      ends.put(new TopicPartition(name, i), OffsetSpec.latest());
    }
    eventually(() -> {
      try {
        admin.listOffsets(ends).all().get(CALL_SECONDS, TimeUnit.SECONDS);
        return true;
      } catch (ExecutionException error) {
        if (error.getCause() instanceof RetriableException) {
          return false;
        }
        throw new AssertionError(error);
      } catch (Exception error) {
        throw new AssertionError(error);
      }
    });
  }

  static <T> T get(Future<T> future) {
    try {
      return future.get(CALL_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException error) {
      throw new AssertionError(error.getCause());
    } catch (Exception error) {
      throw new AssertionError(error);
    }
  }

  /** The error that the future must end with. */
  static Throwable failure(Future<?> future) {
    try {
      future.get(CALL_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException error) {
      return error.getCause();
    } catch (Exception error) {
      throw new AssertionError(error);
    }
    throw new AssertionError("it succeeded");
  }

  static List<RecordMetadata> send(List<ProducerRecord<byte[], byte[]>> records, Object... settings) {
    try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
      List<Future<RecordMetadata>> futures = new ArrayList<>();
      for (ProducerRecord<byte[], byte[]> record : records) {
        futures.add(producer.send(record));
      }
      producer.flush();
      List<RecordMetadata> all = new ArrayList<>();
      for (Future<RecordMetadata> future : futures) {
        all.add(get(future));
      }
      return all;
    }
  }

  static void sendNumbers(String topic, int partition, int from, int to) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int i = from; i < to; i++) {
      records.add(new ProducerRecord<>(topic, partition, null, Integer.toString(i).getBytes()));
    }
    send(records);
  }

  static List<ConsumerRecord<byte[], byte[]>> read(String topic, int partition, long offset, int count) {
    // Closing waits for the fetch in flight, so that one is short.
    try (KafkaConsumer<byte[], byte[]> consumer = consumer("fetch.max.wait.ms", 50)) {
      TopicPartition tp = new TopicPartition(topic, partition);
      consumer.assign(List.of(tp));
      consumer.seek(tp, offset);
      return poll(consumer, count);
    }
  }

  static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count) {
    List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
    eventually(() -> {
      consumer.poll(Duration.ofMillis(200)).forEach(got::add);
      return got.size() >= count;
    });
    return got.subList(0, count);
  }

  static Set<Integer> assigned(KafkaConsumer<?, ?> consumer) {
    Set<Integer> partitions = new HashSet<>();
    consumer.assignment().forEach(tp -> partitions.add(tp.partition()));
    return partitions;
  }

  static void eventually(BooleanSupplier condition) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("it did not come within 30 s");
      }
      try {
        Thread.sleep(10);
      } catch (InterruptedException stop) {
        throw new AssertionError(stop);
      }
    }
  }
}
