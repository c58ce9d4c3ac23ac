// The connection, the codecs kafkajs leaves to others, and waiting without a clock.
'use strict'

const { randomUUID } = require('node:crypto')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const fzstd = require('fzstd')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32')
const zstd = require('@bokuweb/zstd-wasm')

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'

CompressionCodecs[CompressionTypes.Snappy] = snappy
// Kafka takes only frames of independent blocks. lz4js writes one block, which is one, and leaves out the flag that says so.
function lz4Frame(bytes) {
  const frame = Buffer.from(lz4.compress(bytes))
  frame[4] |= 0x20
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff
  return frame
}
// The blocks of a frame, each on its own. lz4js itself looks for a block's checksum on the wrong side of the block.
function lz4Blocks(frame) {
  const [CONTENT_SIZE, BLOCK_CHECKSUM, NOT_COMPRESSED] = [0x08, 0x10, 0x80000000]
  const largest = 256 << (2 * ((frame[5] >> 4) & 7))
  const blocks = []
  let at = frame[4] & CONTENT_SIZE ? 15 : 7
  for (;;) {
    const size = frame.readUInt32LE(at)
    if (size === 0) return Buffer.concat(blocks)
    const length = size % NOT_COMPRESSED
    at += 4
    if (size >= NOT_COMPRESSED) {
      blocks.push(frame.subarray(at, at + length))
    } else {
      const block = Buffer.alloc(largest)
      blocks.push(block.subarray(0, lz4.decompressBlock(frame, block, at, length, 0)))
    }
    at += length + (frame[4] & BLOCK_CHECKSUM ? 4 : 0)
  }
}
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4Frame(encoder.buffer),
  decompress: async buffer => lz4Blocks(buffer),
})
// The one library compresses, the other reads frames that do not tell their size, as Java writes them.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => {
    await zstd.init()
    return Buffer.from(zstd.compress(encoder.buffer))
  },
  decompress: async buffer => Buffer.from(fzstd.decompress(buffer)),
})

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

if (!process.env.BOOTSTRAP) throw new Error('BOOTSTRAP is not set: run the suite through tests/clients/run')

/** The addresses of all nodes: as many replicas has a topic. */
const BROKERS = process.env.BOOTSTRAP.split(',')

const kafka = new Kafka({
  clientId: 'kafkajs-suite',
  brokers: BROKERS,
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 8 },
})

const unique = stem => `${stem}-${randomUUID().slice(0, 12)}`

/** Resolves once `condition` is true; it may be asynchronous. */
async function eventually(condition, what, seconds = 30) {
  const deadline = Date.now() + seconds * 1000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come within ${seconds} s`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

async function withAdmin(use, options = {}) {
  const admin = kafka.admin(options)
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

async function makeTopic(stem, partitions = 1, configs = {}) {
  const topic = unique(stem)
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  await withAdmin(async admin => {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: BROKERS.length, configEntries }] })
    // Creation is acknowledged before the broker leads the partitions.
    await eventually(async () => {
      try {
        return (await admin.fetchTopicOffsets(topic)).length === partitions
      } catch (error) {
        return false
      }
    }, `the topic ${topic}`)
  })
  return topic
}

async function send(topic, messages, { codec = 'none', ...options } = {}) {
  const producer = kafka.producer({ allowAutoTopicCreation: false, ...options })
  await producer.connect()
  try {
    return await producer.send({ topic, messages, compression: CODECS[codec], acks: -1 })
  } finally {
    await producer.disconnect()
  }
}

/** A running member of a group: `received` grows, `assigned()` is what it holds now. */
async function member(groupId, topic, { fromBeginning = true, autoCommit = false, onReady } = {}) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 300, rebalanceTimeout: 10000, maxWaitTimeInMs: 200 })
  const state = { consumer, received: [], held: [] }
  consumer.on(consumer.events.GROUP_JOIN, event => {
    state.held = (event.payload.memberAssignment[topic] || []).slice().sort()
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning })
  await consumer.run({
    autoCommit,
    eachMessage: async ({ partition, message }) => {
      state.received.push({ partition, ...message })
    },
  })
  if (onReady) onReady(consumer)
  state.assigned = () => state.held
  state.stop = () => consumer.disconnect()
  return state
}

/** Reads `count` records of partition 0 from `offset`, through a group of its own as kafkajs has no other way. */
async function read(topic, count, offset = 0) {
  const reader = await member(unique('reader'), topic, {
    onReady: consumer => consumer.seek({ topic, partition: 0, offset: String(offset) }),
  })
  const wanted = () => reader.received.filter(message => message.partition === 0 && Number(message.offset) >= offset)
  try {
    await eventually(() => wanted().length >= count, `${count} records of ${topic}`)
    return wanted().slice(0, count)
  } finally {
    await reader.stop()
  }
}

module.exports = { BROKERS, CODECS, eventually, kafka, makeTopic, member, read, send, unique, withAdmin }
