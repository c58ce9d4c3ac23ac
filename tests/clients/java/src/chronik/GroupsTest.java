package chronik;

import static chronik.Broker.assigned;
import static chronik.Broker.eventually;
import static chronik.Broker.failure;
import static chronik.Broker.get;
import static chronik.Broker.member;
import static chronik.Broker.sendNumbers;
import static chronik.Broker.topic;
import static chronik.Broker.unique;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Classic consumer groups: rebalances, static members, commits, and the administration of groups. */
class GroupsTest {
  private static Admin admin;

  @BeforeAll
  static void connect() {
    admin = Broker.admin();
  }

  @AfterAll
  static void disconnect() {
    admin.close();
  }

  private static void poll(List<KafkaConsumer<byte[], byte[]>> members, Set<String> seen) {
    for (KafkaConsumer<byte[], byte[]> member : members) {
      for (ConsumerRecord<byte[], byte[]> record : member.poll(Duration.ofMillis(50))) {
        seen.add(record.partition() + ":" + new String(record.value()));
      }
    }
  }

  private static void settle(List<KafkaConsumer<byte[], byte[]>> members, int each, Set<String> seen) {
    eventually(() -> {
      poll(members, seen);
      return members.stream().allMatch(member -> member.assignment().size() == each);
    });
  }

  private static ConsumerGroupDescription describe(String group) {
    return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
  }

  @ParameterizedTest
  @ValueSource(strings = {"RangeAssignor", "RoundRobinAssignor", "CooperativeStickyAssignor"})
  void membersJoinShareAndLeave(String assignor) {
    String topic = topic(admin, "share", 6);
    String group = unique("share");
    String strategy = "org.apache.kafka.clients.consumer." + assignor;
    Set<String> seen = new HashSet<>();
    try (var first = member(group, topic, "partition.assignment.strategy", strategy)) {
      settle(List.of(first), 6, seen);
      try (var second = member(group, topic, "partition.assignment.strategy", strategy);
          var third = member(group, topic, "partition.assignment.strategy", strategy)) {
        var all = List.of(first, second, third);
        settle(all, 2, seen);
        Set<Integer> union = new HashSet<>(assigned(first));
        union.addAll(assigned(second));
        union.addAll(assigned(third));
        assertEquals(Set.of(0, 1, 2, 3, 4, 5), union);
        for (int p = 0; p < 6; p++) {
          sendNumbers(topic, p, 0, 5);
        }
        eventually(() -> {
          poll(all, seen);
          return seen.size() == 30;
        });
        ConsumerGroupDescription description = describe(group);
        assertEquals(GroupState.STABLE, description.groupState());
        assertEquals(3, description.members().size());
        assertEquals(6, description.members().stream().mapToInt(m -> m.assignment().topicPartitions().size()).sum());
        assertTrue(description.members().stream().allMatch(m -> m.host().contains("127.0.0.1")));
      }
      settle(List.of(first), 6, seen);
    }
  }

  @Test
  void aStaticMemberComesBackWithoutARebalance() {
    String topic = topic(admin, "static", 2);
    String group = unique("static");
    try (var stays = member(group, topic, "group.instance.id", "stays")) {
      var goes = member(group, topic, "group.instance.id", "goes");
      settle(List.of(stays, goes), 1, new HashSet<>());
      int generation = stays.groupMetadata().generationId();
      Set<Integer> had = assigned(goes);
      goes.close();
      assertEquals(2, describe(group).members().size());
      try (var back = member(group, topic, "group.instance.id", "goes")) {
        eventually(() -> {
          poll(List.of(stays, back), new HashSet<>());
          return back.assignment().size() == 1;
        });
        assertEquals(had, assigned(back));
        assertEquals(generation, back.groupMetadata().generationId());
        assertEquals(generation, stays.groupMetadata().generationId());
        try (var thief = member(group, topic, "group.instance.id", "goes")) {
          assertThrows(FencedInstanceIdException.class, () -> eventually(() -> {
            thief.poll(Duration.ofMillis(50));
            back.poll(Duration.ofMillis(50));
            back.commitSync();
            return false;
          }));
        }
      }
      get(admin.removeMembersFromConsumerGroup(
          group, new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("goes")))).all());
      settle(List.of(stays), 2, new HashSet<>());
    }
    get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all());
  }

  @Test
  void aRestartedMemberResumesWhereItCommitted() {
    String topic = topic(admin, "resume", 1);
    String group = unique("resume");
    TopicPartition tp = new TopicPartition(topic, 0);
    sendNumbers(topic, 0, 0, 20);
    try (var member = member(group, topic)) {
      Broker.poll(member, 20);
      member.commitSync(Map.of(tp, new OffsetAndMetadata(12, Optional.of(0), "a note")));
      assertEquals(new OffsetAndMetadata(12, Optional.of(0), "a note"), member.committed(Set.of(tp)).get(tp));
    }
    try (var member = member(group, topic)) {
      assertEquals(12, Broker.poll(member, 8).get(0).offset());
      member.commitAsync();
      member.commitSync();
    }
    assertEquals(20, get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(tp).offset());
  }

  @Test
  void automaticCommitOnClose() {
    String topic = topic(admin, "auto-commit", 1);
    String group = unique("auto-commit");
    sendNumbers(topic, 0, 0, 5);
    try (var member = member(group, topic, "enable.auto.commit", true)) {
      Broker.poll(member, 5);
    }
    assertEquals(
        5, get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(new TopicPartition(topic, 0)).offset());
  }

  @Test
  void aMemberRemovedByTheAdministratorCannotCommit() {
    String topic = topic(admin, "kicked", 1);
    String group = unique("kicked");
    sendNumbers(topic, 0, 0, 1);
    try (var member = member(group, topic, "heartbeat.interval.ms", 3000)) {
      Broker.poll(member, 1);
      get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all());
      assertThrows(CommitFailedException.class, member::commitSync);
    }
  }

  @Test
  void aPatternSubscriptionFindsNewTopics() {
    String stem = unique("pattern");
    String first = topic(admin, stem + "-a", 1);
    try (var member = Broker.consumer(
        "group.id", stem, "group.protocol", "classic", "auto.offset.reset", "earliest", "metadata.max.age.ms", 300)) {
      member.subscribe(java.util.regex.Pattern.compile(stem + "-.*"));
      eventually(() -> {
        member.poll(Duration.ofMillis(50));
        return member.assignment().size() == 1;
      });
      String second = topic(admin, stem + "-b", 1);
      eventually(() -> {
        member.poll(Duration.ofMillis(50));
        return member.assignment().equals(Set.of(new TopicPartition(first, 0), new TopicPartition(second, 0)));
      });
    }
  }

  @Test
  void groupsAreListedByStateAndDeleted() {
    String topic = topic(admin, "list", 1);
    String group = unique("list");
    try (var member = member(group, topic)) {
      settle(List.of(member), 1, new HashSet<>());
      member.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0)));
      assertTrue(listed(group, ListGroupsOptions.forConsumerGroups()));
      assertTrue(listed(group, new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE))));
      assertFalse(listed(group, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))));
      assertInstanceOf(GroupNotEmptyException.class, failure(admin.deleteConsumerGroups(List.of(group)).all()));
    }
    eventually(() -> describe(group).groupState() == GroupState.EMPTY);
    assertTrue(listed(group, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))));
    get(admin.deleteConsumerGroups(List.of(group)).all());
    assertFalse(listed(group, new ListGroupsOptions()));
    assertInstanceOf(GroupIdNotFoundException.class, failure(admin.deleteConsumerGroups(List.of(group)).all()));
    assertInstanceOf(GroupIdNotFoundException.class, failure(admin.describeConsumerGroups(List.of(group)).all()));
  }

  private static boolean listed(String group, ListGroupsOptions options) {
    return get(admin.listGroups(options).all()).stream().anyMatch(listing -> listing.groupId().equals(group));
  }

  @Test
  void offsetsAreAlteredAndDeletedByTheAdministrator() {
    String topic = topic(admin, "offsets", 2);
    String group = unique("offsets");
    TopicPartition zero = new TopicPartition(topic, 0);
    TopicPartition one = new TopicPartition(topic, 1);
    get(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(3), one, new OffsetAndMetadata(4))).all());
    assertEquals(
        Map.of(zero, new OffsetAndMetadata(3), one, new OffsetAndMetadata(4)),
        get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()));
    get(admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all());
    assertEquals(Set.of(one), get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).keySet());
    var absent = new TopicPartition(unique("absent"), 0);
    assertInstanceOf(
        UnknownTopicOrPartitionException.class,
        failure(admin.alterConsumerGroupOffsets(group, Map.of(absent, new OffsetAndMetadata(1))).all()));
    try (var member = member(group, topic)) {
      settle(List.of(member), 2, new HashSet<>());
      assertInstanceOf(
          GroupSubscribedToTopicException.class,
          failure(admin.deleteConsumerGroupOffsets(group, Set.of(one)).partitionResult(one)));
      assertInstanceOf(
          UnknownMemberIdException.class,
          failure(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(9))).all()));
    }
  }

  @Test
  void deletingATopicForgetsItsOffsets() {
    String topic = topic(admin, "forget", 1);
    String group = unique("forget");
    get(admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(3))).all());
    get(admin.deleteTopics(List.of(topic)).all());
    eventually(() -> {
      try {
        return get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).isEmpty();
      } catch (AssertionError error) {
        // The group had nothing else and may be gone with its last offset.
        return error.getCause() instanceof GroupIdNotFoundException;
      }
    });
  }
}
