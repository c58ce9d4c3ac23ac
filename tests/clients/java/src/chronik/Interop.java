package chronik;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;

/**
 * The Java side of the exchange between clients, one process for many topics.
 *
 * <p>{@code write FILE} sends the records of the file; {@code read COUNT TOPIC…} prints that many records of each topic. A record
 * is a line of tab-separated fields: topic, codec (write) or offset (read), timestamp, key, value, then header name and header
 * value in turn; bytes are in base64, {@code -} is null.
 */
final class Interop {
  private Interop() {}

  public static void main(String[] arguments) throws IOException {
    if (arguments[0].equals("write")) {
      write(Files.readAllLines(Path.of(arguments[1])));
    } else {
      read(Integer.parseInt(arguments[1]), List.of(arguments).subList(2, arguments.length));
    }
  }

  private static void read(int count, List<String> topics) {
    try (KafkaConsumer<byte[], byte[]> consumer = Broker.consumer()) {
      List<TopicPartition> partitions = topics.stream().map(topic -> new TopicPartition(topic, 0)).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Broker.poll(consumer, count * topics.size()).forEach(record -> System.out.println(line(record)));
    }
  }

  private static void write(List<String> lines) {
    Map<String, List<ProducerRecord<byte[], byte[]>>> byCodec = new TreeMap<>();
    for (String line : lines) {
      String[] fields = line.split("\t", -1);
      ProducerRecord<byte[], byte[]> record =
          new ProducerRecord<>(fields[0], 0, Long.parseLong(fields[2]), bytes(fields[3]), bytes(fields[4]));
      for (int i = 5; i < fields.length; i += 2) {
        record.headers().add(new String(bytes(fields[i])), bytes(fields[i + 1]));
      }
      byCodec.computeIfAbsent(fields[1], codec -> new ArrayList<>()).add(record);
    }
    byCodec.forEach((codec, records) -> Broker.send(records, "compression.type", codec));
  }

  private static String line(ConsumerRecord<byte[], byte[]> record) {
    StringBuilder line = new StringBuilder(record.topic() + "\t" + record.offset() + "\t" + record.timestamp());
    line.append('\t').append(text(record.key())).append('\t').append(text(record.value()));
    for (Header header : record.headers()) {
      line.append('\t').append(text(header.key().getBytes())).append('\t').append(text(header.value()));
    }
    return line.toString();
  }

  private static byte[] bytes(String field) {
    return field.equals("-") ? null : Base64.getDecoder().decode(field);
  }

  private static String text(byte[] bytes) {
    return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
  }
}
