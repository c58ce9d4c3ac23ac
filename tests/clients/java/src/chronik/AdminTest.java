package chronik;

import static chronik.Broker.awaitPartitions;
import static chronik.Broker.eventually;
import static chronik.Broker.failure;
import static chronik.Broker.get;
import static chronik.Broker.sendNumbers;
import static chronik.Broker.topic;
import static chronik.Broker.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Administration with the reference client. */
class AdminTest {
  private static Admin admin;

  @BeforeAll
  static void connect() {
    admin = Broker.admin();
  }

  @AfterAll
  static void disconnect() {
    admin.close();
  }

  private static ConfigResource resource(String topic) {
    return new ConfigResource(ConfigResource.Type.TOPIC, topic);
  }

  private static Config config(String topic) {
    return get(admin.describeConfigs(List.of(resource(topic))).all()).get(resource(topic));
  }

  private static AlterConfigOp op(String key, String value, AlterConfigOp.OpType type) {
    return new AlterConfigOp(new ConfigEntry(key, value), type);
  }

  private static void alter(String topic, AlterConfigOp... ops) {
    get(admin.incrementalAlterConfigs(Map.of(resource(topic), Arrays.asList(ops))).all());
  }

  private static Throwable alterFails(String topic, AlterConfigOp... ops) {
    return failure(admin.incrementalAlterConfigs(Map.of(resource(topic), Arrays.asList(ops))).all());
  }

  private static Throwable createFails(NewTopic topic) {
    return failure(admin.createTopics(List.of(topic)).all());
  }

  @Test
  void aTopicFromCreationToDeletion() {
    String name = unique("life");
    var created = admin.createTopics(List.of(
        new NewTopic(name, 2, Broker.REPLICAS).configs(Map.of("retention.ms", "1000000", "cleanup.policy", "compact,delete"))));
    Uuid id = get(created.topicId(name));
    assertEquals(2, get(created.numPartitions(name)));
    assertEquals(Broker.REPLICAS, get(created.replicationFactor(name)));
    assertEquals("1000000", get(created.config(name)).get("retention.ms").value());
    assertEquals("compact,delete", get(created.config(name)).get("cleanup.policy").value());
    assertEquals("1048588", get(created.config(name)).get("max.message.bytes").value());
    awaitPartitions(admin, name, 2);
    assertTrue(get(admin.listTopics().names()).contains(name));

    get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all());
    awaitPartitions(admin, name, 4);
    TopicDescription byName = get(admin.describeTopics(List.of(name)).allTopicNames()).get(name);
    TopicDescription byId = get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id);
    for (TopicDescription description : List.of(byName, byId)) {
      assertEquals(id, description.topicId());
      assertEquals(4, description.partitions().size());
      assertFalse(description.isInternal());
      description.partitions().forEach(p -> {
        assertEquals(p.replicas().get(0), p.leader());
        assertEquals(Broker.REPLICAS, p.replicas().size());
        assertEquals(Broker.REPLICAS, p.isr().size());
      });
    }
    get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
    eventually(() -> !Broker.<Set<String>>get(admin.listTopics().names()).contains(name));
    assertInstanceOf(
        UnknownTopicIdException.class, failure(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all()));
  }

  @Test
  void aTopicMadeAgainIsAnotherOne() {
    String name = topic(admin, "again", 1);
    Uuid before = get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).topicId();
    sendNumbers(name, 0, 0, 5);
    get(admin.deleteTopics(List.of(name)).all());
    get(admin.createTopics(List.of(new NewTopic(name, 1, Broker.REPLICAS))).all());
    awaitPartitions(admin, name, 1);
    eventually(() -> !before.equals(get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).topicId()));
    sendNumbers(name, 0, 7, 8);
    var record = Broker.read(name, 0, 0, 1).get(0);
    assertEquals(0, record.offset());
    assertEquals("7", new String(record.value()));
  }

  @Test
  void defaultsOfTheBroker() {
    String name = unique("defaults");
    var created = admin.createTopics(List.of(new NewTopic(name, Optional.empty(), Optional.empty())));
    assertEquals(1, get(created.numPartitions(name)));
    assertEquals(Broker.REPLICAS, get(created.replicationFactor(name)));
  }

  @Test
  void validateOnlyMakesNothing() {
    String name = unique("validate");
    var only = new CreateTopicsOptions().validateOnly(true);
    assertEquals(3, get(admin.createTopics(List.of(new NewTopic(name, 3, Broker.REPLICAS)), only).numPartitions(name)));
    assertInstanceOf(
        InvalidPartitionsException.class,
        failure(admin.createTopics(List.of(new NewTopic(name, 0, Broker.REPLICAS)), only).all()));
    assertFalse(get(admin.listTopics().names()).contains(name));
  }

  @ParameterizedTest
  @ValueSource(strings = {"with space", "sla/sh", "..", "", "nul\0", "ünicode"})
  void anInvalidName(String name) {
    assertInstanceOf(InvalidTopicException.class, createFails(new NewTopic(name, 1, Broker.REPLICAS)));
  }

  @Test
  void errorsOfCreation() {
    String name = topic(admin, "exists", 1);
    assertInstanceOf(TopicExistsException.class, createFails(new NewTopic(name, 1, Broker.REPLICAS)));
    String other = unique("bad");
    assertInstanceOf(InvalidTopicException.class, createFails(new NewTopic("x".repeat(250), 1, Broker.REPLICAS)));
    assertInstanceOf(InvalidPartitionsException.class, createFails(new NewTopic(other, 0, Broker.REPLICAS)));
    assertInstanceOf(InvalidReplicationFactorException.class, createFails(new NewTopic(other, 1, (short) 0)));
    assertInstanceOf(InvalidReplicationFactorException.class, createFails(new NewTopic(other, 1, (short) (Broker.REPLICAS + 1))));
    assertInstanceOf(
        InvalidReplicaAssignmentException.class, createFails(new NewTopic(other, Map.of(0, List.of(1), 2, List.of(1)))));
    assertInstanceOf(
        InvalidReplicaAssignmentException.class, createFails(new NewTopic(other, Map.of(0, List.of(1, 1)))));
    for (Map<String, String> bad : List.of(
        Map.of("no.such.config", "1"), Map.of("retention.ms", "soon"), Map.of("cleanup.policy", "burn"),
        Map.of("max.message.bytes", "-1"), Map.of("compression.type", "rar"))) {
      assertInstanceOf(
          InvalidConfigurationException.class, createFails(new NewTopic(other, 1, Broker.REPLICAS).configs(bad)), bad.toString());
    }
    assertFalse(get(admin.listTopics().names()).contains(other));
  }

  @Test
  void errorsOfGrowth() {
    String name = topic(admin, "grow", 3);
    for (int count : new int[] {2, 3}) {
      assertInstanceOf(
          InvalidPartitionsException.class,
          failure(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(count))).all()));
    }
    assertInstanceOf(
        InvalidReplicaAssignmentException.class,
        failure(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5, List.of(List.of(1))))).all()));
    assertInstanceOf(
        UnknownTopicOrPartitionException.class,
        failure(admin.createPartitions(Map.of(unique("absent"), NewPartitions.increaseTo(5))).all()));
  }

  @Test
  void everythingAskedOfAnUnknownTopic() {
    String absent = unique("absent");
    assertInstanceOf(
        UnknownTopicOrPartitionException.class, failure(admin.describeTopics(List.of(absent)).allTopicNames()));
    assertInstanceOf(UnknownTopicOrPartitionException.class, failure(admin.deleteTopics(List.of(absent)).all()));
    assertInstanceOf(
        UnknownTopicOrPartitionException.class, failure(admin.describeConfigs(List.of(resource(absent))).all()));
    assertInstanceOf(
        UnknownTopicOrPartitionException.class, alterFails(absent, op("retention.ms", "1", AlterConfigOp.OpType.SET)));
    assertInstanceOf(
        UnknownTopicIdException.class,
        failure(admin.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds()));
    assertFalse(get(admin.listTopics().names()).contains(absent));
  }

  @Test
  void configsOfATopic() {
    String name = topic(admin, "config", 1, "segment.bytes", "2000000");
    assertEquals(ConfigSource.DYNAMIC_TOPIC_CONFIG, config(name).get("segment.bytes").source());
    assertEquals(ConfigSource.DEFAULT_CONFIG, config(name).get("retention.ms").source());
    assertEquals("604800000", config(name).get("retention.ms").value());
    assertEquals(ConfigEntry.ConfigType.LONG, config(name).get("retention.ms").type());

    alter(name, op("retention.ms", "5000000", AlterConfigOp.OpType.SET), op("cleanup.policy", "compact", AlterConfigOp.OpType.APPEND));
    eventually(() -> config(name).get("retention.ms").value().equals("5000000"));
    assertEquals("delete,compact", config(name).get("cleanup.policy").value());
    alter(name, op("cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT));
    eventually(() -> config(name).get("cleanup.policy").value().equals("compact"));
    alter(name, op("retention.ms", "", AlterConfigOp.OpType.DELETE));
    eventually(() -> config(name).get("retention.ms").source() == ConfigSource.DEFAULT_CONFIG);
    assertEquals("2000000", config(name).get("segment.bytes").value());

    for (AlterConfigOp bad : List.of(
        op("retention.ms", "soon", AlterConfigOp.OpType.SET), op("no.such.config", "1", AlterConfigOp.OpType.SET),
        op("retention.ms", "1", AlterConfigOp.OpType.APPEND))) {
      assertInstanceOf(InvalidConfigurationException.class, alterFails(name, bad));
    }
    assertInstanceOf(
        InvalidRequestException.class,
        alterFails(name, op("retention.ms", "1", AlterConfigOp.OpType.SET), op("retention.ms", "2", AlterConfigOp.OpType.SET)));
  }

  @Test
  void synonymsAndDocumentationWhenAskedFor() {
    String name = topic(admin, "synonyms", 1, "max.message.bytes", "5000");
    var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
    ConfigEntry entry =
        get(admin.describeConfigs(List.of(resource(name)), options).all()).get(resource(name)).get("max.message.bytes");
    List<String> chain = new ArrayList<>();
    entry.synonyms().forEach(s -> chain.add(s.source() + " " + s.name() + "=" + s.value()));
    assertEquals(
        List.of("DYNAMIC_TOPIC_CONFIG max.message.bytes=5000", "DEFAULT_CONFIG message.max.bytes=1048588"), chain);
    assertFalse(entry.documentation().isEmpty());
    assertTrue(config(name).get("max.message.bytes").synonyms().isEmpty());
  }

  @Test
  void aDynamicDefaultOfTheBrokersReachesTopics() {
    String name = topic(admin, "dynamic", 1);
    ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
    get(admin.incrementalAlterConfigs(Map.of(all, List.of(op("log.retention.ms", "7654321", AlterConfigOp.OpType.SET)))).all());
    eventually(() -> config(name).get("retention.ms").value().equals("7654321"));
    assertEquals(ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, config(name).get("retention.ms").source());
    assertEquals("7654321", get(admin.describeConfigs(List.of(all)).all()).get(all).get("log.retention.ms").value());
    get(admin.incrementalAlterConfigs(Map.of(all, List.of(op("log.retention.ms", "", AlterConfigOp.OpType.DELETE)))).all());
    eventually(() -> config(name).get("retention.ms").value().equals("604800000"));
  }

  @Test
  void configsOfTheBroker() {
    ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
    Config config = get(admin.describeConfigs(List.of(broker)).all()).get(broker);
    assertEquals("1", config.get("node.id").value());
    assertTrue(config.get("node.id").isReadOnly());
    assertEquals(ConfigSource.STATIC_BROKER_CONFIG, config.get("group.initial.rebalance.delay.ms").source());
    assertEquals("1048588", config.get("message.max.bytes").value());
    assertFalse(config.get("message.max.bytes").isReadOnly());
    assertInstanceOf(
        InvalidRequestException.class,
        failure(admin.incrementalAlterConfigs(
            Map.of(broker, List.of(op("node.id", "2", AlterConfigOp.OpType.SET)))).all()));
  }

  @Test
  void recordsAreDeletedUpToAnOffset() {
    String name = topic(admin, "delete-records", 1);
    TopicPartition tp = new TopicPartition(name, 0);
    sendNumbers(name, 0, 0, 10);
    assertEquals(4, get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(tp)).lowWatermark());
    // The start never moves back.
    assertEquals(4, get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(2))).lowWatermarks().get(tp)).lowWatermark());
    assertInstanceOf(
        OffsetOutOfRangeException.class, failure(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(11))).all()));
    assertEquals(10, get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(tp)).lowWatermark());
    String compacted = topic(admin, "delete-compacted", 1, "cleanup.policy", "compact");
    assertInstanceOf(
        PolicyViolationException.class,
        failure(admin.deleteRecords(Map.of(new TopicPartition(compacted, 0), RecordsToDelete.beforeOffset(0))).all()));
  }

  @Test
  void theClusterDescribesItself() {
    var cluster = admin.describeCluster();
    var nodes = get(cluster.nodes()).stream().sorted(Comparator.comparing(node -> node.id()));
    assertEquals(Broker.NODES, nodes.map(node -> node.host() + ":" + node.port()).toList());
    assertEquals(22, get(cluster.clusterId()).length());
    var quorum = get(admin.describeMetadataQuorum().quorumInfo());
    assertEquals(get(cluster.controller()).id(), quorum.leaderId());
    assertEquals(Broker.REPLICAS, quorum.voters().size());
    assertNotEquals(-1, quorum.highWatermark());
    assertTrue(get(admin.describeFeatures().featureMetadata()).finalizedFeatures().containsKey("metadata.version"));
  }

  @Test
  void logDirectoriesTellSizes() {
    String name = topic(admin, "sizes", 1);
    sendNumbers(name, 0, 0, 100);
    TopicPartition tp = new TopicPartition(name, 0);
    eventually(() -> {
      var dirs = Broker.<Map<Integer, Map<String, org.apache.kafka.clients.admin.LogDirDescription>>>get(
          admin.describeLogDirs(List.of(1)).allDescriptions()).get(1);
      assertEquals(1, dirs.size());
      var description = dirs.values().iterator().next();
      assertTrue(description.totalBytes().getAsLong() > description.usableBytes().getAsLong());
      var replica = description.replicaInfos().get(tp);
      return replica != null && replica.size() > 500 && replica.offsetLag() == 0 && !replica.isFuture();
    });
  }
}
