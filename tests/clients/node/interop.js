// The Node side of the exchange between clients, one process for many topics.
//
// `interop.js write FILE` sends the records of the file; `interop.js read COUNT TOPIC…` prints that many records of each topic. A
// record is a line of tab-separated fields: topic, codec (write) or offset (read), timestamp, key, value, then header name and
// header value in turn; bytes are in base64, `-` is null.
'use strict'

const { readFileSync } = require('node:fs')
const { CODECS, eventually, kafka, send, unique } = require('./support')

const bytes = field => (field === '-' ? null : Buffer.from(field, 'base64'))
const quoted = value => (value === null || value === undefined ? '-' : Buffer.from(value).toString('base64'))

function message(fields) {
  const headers = {}
  for (let i = 5; i < fields.length; i += 2) {
    const name = bytes(fields[i]).toString()
    headers[name] = [...(headers[name] || []), bytes(fields[i + 1])]
  }
  return { partition: 0, timestamp: fields[2], key: bytes(fields[3]), value: bytes(fields[4]), headers }
}

async function write(file) {
  const batches = new Map()
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const fields = line.split('\t')
    const target = `${fields[0]}\t${fields[1]}`
    batches.set(target, [...(batches.get(target) || []), message(fields)])
  }
  for (const [target, messages] of batches) {
    const [topic, codec] = target.split('\t')
    if (!(codec in CODECS)) throw new Error(`no codec ${codec}`)
    await send(topic, messages, { codec })
  }
}

async function read(count, topics) {
  const got = new Map(topics.map(topic => [topic, []]))
  const consumer = kafka.consumer({ groupId: unique('interop') })
  await consumer.connect()
  await consumer.subscribe({ topics, fromBeginning: true })
  await consumer.run({ autoCommit: false, eachMessage: async ({ topic, message }) => got.get(topic).push(message) })
  let crashed = null
  consumer.on(consumer.events.CRASH, event => {
    crashed = event.payload.error
  })
  await eventually(() => crashed || [...got.values()].every(messages => messages.length >= count), 'every record')
  if (crashed) throw crashed
  await consumer.disconnect()
  for (const [topic, messages] of got) {
    for (const m of messages) {
      const headers = Object.entries(m.headers).flatMap(([name, values]) => [values].flat().flatMap(v => [quoted(name), quoted(v)]))
      console.log([topic, m.offset, m.timestamp, quoted(m.key), quoted(m.value), ...headers].join('\t'))
    }
  }
}

const [command, first, ...rest] = process.argv.slice(2)
const done = command === 'write' ? write(first) : read(Number(first), rest)
done.catch(error => {
  console.error(error)
  process.exit(1)
})
