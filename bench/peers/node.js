// A server in Node: its net module, and nothing else.
'use strict';

const net = require('net');

const replies = Buffer.alloc(11 * 65536, 'keep alive\n');
const stop = Buffer.from('stop\n');

function lines(bytes) {
	let count = 0;
	for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1))
		count++;
	return count;
}

const server = net.createServer({ noDelay: true }, (client) => {
	client.on('error', () => {});
	client.on('data', (bytes) => {
		if (bytes.equals(stop)) {
			client.end(stop);
			return;
		}
		const count = lines(bytes);
		if (count > 0)
			client.write(replies.subarray(0, count * 11));
	});
});

server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 }, () => console.log('ready'));
