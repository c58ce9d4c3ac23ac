// kafkajs: pure JavaScript, with its own implementation of the whole protocol in older request versions than the others.
'use strict'

const assert = require('node:assert/strict')
const test = require('node:test')
const { ConfigResourceTypes } = require('kafkajs')
const { BROKERS, CODECS, eventually, kafka, makeTopic, member, read, send, unique, withAdmin } = require('./support')

// The first timestamp of test data: two hours ago, for older records would soon fall to the retention.
const T0 = (Math.floor(Date.now() / 1000) - 7200) * 1000
// One record alone in a batch of message format 2: no key, no headers, sizes that need a varint of three bytes.
const BATCH_OVERHEAD = 72
const DEADLINE = { timeout: 60_000 }

const text = value => (value === null ? null : value.toString())
const numbers = (count, start = 0, partition = 0) =>
  Array.from({ length: count }, (_, i) => ({ partition, value: String(start + i), timestamp: String(T0 + (start + i) * 1000) }))

async function fails(promise, type) {
  await assert.rejects(promise, error => {
    const found = new Set()
    for (let at = error; at; at = at.cause) {
      found.add(at.type)
      for (const inner of at.errors || at.partitions || at.groups || []) found.add((inner.error || inner).type)
    }
    assert.ok(found.has(type), `${error}: ${[...found]}`)
    return true
  })
}

async function deleteRecords(admin, topic, offset) {
  // kafkajs looks up the leader only of topics it was asked about before.
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
}

for (const codec of Object.keys(CODECS)) {
  test(`records come back as they were sent with ${codec}`, DEADLINE, async () => {
    const topic = await makeTopic(`codec-${codec}`)
    const sent = Array.from({ length: 60 }, (_, i) => ({
      partition: 0,
      key: [null, '', `key-${i}`][i % 3],
      value: [`value-${i} `.repeat(20), null, ''][i % 3],
      headers: i % 2 ? { twice: ['1', '2'], empty: '' } : {},
      timestamp: String(T0 + i),
    }))
    const [answer] = await send(topic, sent, { codec })
    assert.equal(answer.errorCode, 0)
    assert.equal(answer.baseOffset, '0')
    const got = await read(topic, 60)
    assert.deepEqual(got.map(m => m.offset), sent.map((_, i) => String(i)))
    for (const [i, message] of got.entries()) {
      assert.equal(text(message.key), sent[i].key)
      assert.equal(text(message.value), sent[i].value)
      assert.equal(message.timestamp, sent[i].timestamp)
      const headers = Object.entries(message.headers).map(([name, value]) => [name, [value].flat().map(String)])
      assert.deepEqual(headers, i % 2 ? [['twice', ['1', '2']], ['empty', ['']]] : [])
    }
  })
}

for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
  test(`the topic recompresses to ${codec}`, DEADLINE, async () => {
    const topic = await makeTopic(`recompress-${codec}`, 1, { 'compression.type': codec })
    await send(topic, numbers(10))
    await send(topic, numbers(10, 10), { codec: 'gzip' })
    assert.deepEqual((await read(topic, 20)).map(m => text(m.value)), numbers(20).map(m => m.value))
  })
}

test('seek into the middle of a batch', DEADLINE, async () => {
  const topic = await makeTopic('seek')
  await send(topic, numbers(30), { codec: 'gzip' })
  assert.deepEqual((await read(topic, 13, 17)).map(m => text(m.value)), numbers(13, 17).map(m => m.value))
})

test('offsets by time', DEADLINE, async () => {
  const topic = await makeTopic('time')
  await send(topic, numbers(20))
  await withAdmin(async admin => {
    const at = async time => (await admin.fetchTopicOffsetsByTimestamp(topic, time))[0].offset
    assert.equal(await at(T0), '0')
    assert.equal(await at(T0 + 7001), '8')
    assert.equal(await at(T0 + 10 ** 9), '20')
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    assert.deepEqual([low, high], ['0', '20'])
  })
})

test('an idempotent producer keeps order without gaps', DEADLINE, async () => {
  const topic = await makeTopic('idempotent')
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let i = 0; i < 20; i++) await producer.send({ topic, messages: numbers(50, i * 50) })
  await producer.disconnect()
  assert.deepEqual((await read(topic, 1000)).map(m => text(m.value)), numbers(1000).map(m => m.value))
})

test('log append time replaces the clock of the client', DEADLINE, async () => {
  const topic = await makeTopic('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
  const before = Date.now()
  const [answer] = await send(topic, numbers(2))
  for (const message of await read(topic, 2)) assert.equal(message.timestamp, answer.logAppendTime)
  assert.ok(Number(answer.logAppendTime) >= before && Number(answer.logAppendTime) <= Date.now())
})

test('a batch at the limit is taken and one byte more is not', DEADLINE, async () => {
  const topic = await makeTopic('limit', 1, { 'max.message.bytes': '100000' })
  const most = 'x'.repeat(100_000 - BATCH_OVERHEAD)
  await send(topic, [{ partition: 0, value: most }])
  await fails(send(topic, [{ partition: 0, value: `${most}x` }]), 'MESSAGE_TOO_LARGE')
  assert.equal((await read(topic, 1))[0].value.length, most.length)
})

test('two members share the partitions and one inherits all', DEADLINE, async () => {
  const topic = await makeTopic('share', 4)
  const group = unique('share')
  const first = await member(group, topic)
  await eventually(() => first.assigned().length === 4, 'all partitions for the only member')
  const second = await member(group, topic)
  await eventually(() => first.assigned().length === 2 && second.assigned().length === 2, 'two partitions each')
  assert.deepEqual([...first.assigned(), ...second.assigned()].sort(), [0, 1, 2, 3])
  for (let p = 0; p < 4; p++) await send(topic, numbers(5, 0, p))
  const seen = () => new Set([...first.received, ...second.received].map(m => `${m.partition}:${m.value}`))
  await eventually(() => seen().size === 20, 'all records')
  await second.stop()
  await eventually(() => first.assigned().length === 4, 'the partitions of the member that left')
  await first.stop()
})

test('a restarted member resumes where it committed', DEADLINE, async () => {
  const topic = await makeTopic('resume')
  const group = unique('resume')
  await send(topic, numbers(10))
  const first = await member(group, topic)
  await eventually(() => first.received.length === 10, 'ten records')
  await first.consumer.commitOffsets([{ topic, partition: 0, offset: '6', metadata: 'a note' }])
  await first.stop()
  await withAdmin(async admin => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    assert.deepEqual(partitions, [{ partition: 0, offset: '6', metadata: 'a note' }])
  })
  const second = await member(group, topic)
  await eventually(() => second.received.length === 4, 'the rest')
  assert.deepEqual(second.received.map(m => text(m.value)), ['6', '7', '8', '9'])
  await second.stop()
})

test('an offset out of range goes back to the beginning', DEADLINE, async () => {
  const topic = await makeTopic('range')
  await send(topic, numbers(10))
  await withAdmin(admin => deleteRecords(admin, topic, '4'))
  const reader = await member(unique('range'), topic, {
    onReady: consumer => consumer.seek({ topic, partition: 0, offset: '1000' }),
  })
  await eventually(() => reader.received.length === 6, 'the records that are left')
  assert.equal(reader.received[0].offset, '4')
  await reader.stop()
})

test('a topic from creation to deletion', DEADLINE, () =>
  withAdmin(async admin => {
    const topic = await makeTopic('life', 2, { 'retention.ms': '1000000' })
    // kafkajs answers false where the others raise TOPIC_ALREADY_EXISTS.
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false)
    assert.ok((await admin.listTopics()).includes(topic))
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await eventually(async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 5, 'five partitions')
    await fails(admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }), 'INVALID_PARTITIONS')
    await admin.deleteTopics({ topics: [topic] })
    await eventually(async () => !(await admin.listTopics()).includes(topic), 'the absence of the topic')
    await fails(admin.deleteTopics({ topics: [topic] }), 'UNKNOWN_TOPIC_OR_PARTITION')
  }, { retry: { retries: 1 } }))

test('configs of a topic', DEADLINE, () =>
  withAdmin(async admin => {
    const topic = await makeTopic('config', 1, { 'retention.ms': '1000000' })
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
    const value = async key => {
      const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false })
      return resources[0].configEntries.find(entry => entry.configName === key)
    }
    assert.equal((await value('retention.ms')).configValue, '1000000')
    assert.equal((await value('retention.ms')).configSource, 1)
    assert.equal((await value('cleanup.policy')).isDefault, true)
    const set = (name, to) => admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name, value: to }] }] })
    await set('max.message.bytes', '5000')
    await eventually(async () => (await value('max.message.bytes')).configValue === '5000', 'the new config')
    // The older AlterConfigs replaces all that was set.
    assert.equal((await value('retention.ms')).configValue, '604800000')
    await fails(set('retention.ms', 'soon'), 'INVALID_CONFIG')
  }))

test('errors of creation', DEADLINE, () =>
  withAdmin(async admin => {
    const create = (topic, options = {}) => admin.createTopics({ topics: [{ topic, ...options }] })
    const topic = unique('bad')
    await fails(create('with space'), 'INVALID_TOPIC_EXCEPTION')
    await fails(create(topic, { numPartitions: 0 }), 'INVALID_PARTITIONS')
    await fails(create(topic, { replicationFactor: BROKERS.length + 1 }), 'INVALID_REPLICATION_FACTOR')
    await fails(create(topic, { configEntries: [{ name: 'no.such.config', value: '1' }] }), 'INVALID_CONFIG')
    await fails(send(topic, numbers(1), { retry: { retries: 1 } }), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.ok(!(await admin.listTopics()).includes(topic))
  }))

test('the first record creates the topic', DEADLINE, async () => {
  const topic = unique('auto')
  await send(topic, [{ value: 'v' }], { allowAutoTopicCreation: true })
  assert.equal(text((await read(topic, 1))[0].value), 'v')
})

test('groups are listed, described and deleted', DEADLINE, () =>
  withAdmin(async admin => {
    const topic = await makeTopic('groups')
    const group = unique('groups')
    const one = await member(group, topic)
    await eventually(() => one.assigned().length === 1, 'the assignment')
    assert.ok((await admin.listGroups()).groups.some(g => g.groupId === group && g.protocolType === 'consumer'))
    const { groups: [described] } = await admin.describeGroups([group])
    assert.equal(described.state, 'Stable')
    assert.equal(described.members.length, 1)
    await fails(admin.deleteGroups([group]), 'NON_EMPTY_GROUP')
    await one.stop()
    await eventually(async () => (await admin.describeGroups([group])).groups[0].state === 'Empty', 'the empty group')
    await admin.deleteGroups([group])
    assert.ok(!(await admin.listGroups()).groups.some(g => g.groupId === group))
  }))

test('records are deleted up to an offset', DEADLINE, () =>
  withAdmin(async admin => {
    const topic = await makeTopic('delete-records')
    await send(topic, numbers(10))
    await deleteRecords(admin, topic, '4')
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, '4')
    await fails(deleteRecords(admin, topic, '11'), 'OFFSET_OUT_OF_RANGE')
  }))

test('the cluster describes itself', DEADLINE, () =>
  withAdmin(async admin => {
    const { brokers, clusterId, controller } = await admin.describeCluster()
    const addresses = brokers.sort((a, b) => a.nodeId - b.nodeId).map(b => `${b.host}:${b.port}`)
    assert.deepEqual(addresses, BROKERS)
    assert.equal(clusterId.length, 22)
    assert.ok(controller >= 1 && controller <= BROKERS.length)
  }))
