// A small app on Slack's own framework. It greets whoever writes to it with a
// button, and says in the thread who pressed it. Every line on stdout is an
// event for the test.
const {App, LogLevel} = require('@slack/bolt');

const say = (event, detail) => console.log(JSON.stringify({event, detail: String(detail ?? '')}));

const app = new App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  logLevel: LogLevel.DEBUG,
  logger: {
    debug: (...m) => console.error(...m), info: (...m) => console.error(...m), warn: (...m) => console.error(...m),
    error: (...m) => { console.error(...m); }, setLevel: () => {}, getLevel: () => LogLevel.DEBUG, setName: () => {},
  },
  clientOptions: {slackApiUrl: process.env.SLACK_API_URL, retryConfig: {retries: 3, minTimeout: 50}},
});

app.message(async ({message, client}) => {
  if (message.subtype) return; // Bolt brings edits here too, its own among them
  say('message', message.text);
  const posted = await client.chat.postMessage({
    channel: message.channel,
    text: `hello <@${message.user}>`,
    unfurl_links: false,
    metadata: {event_type: 'greeting', event_payload: {to: message.user}},
    blocks: [
      {type: 'section', text: {type: 'mrkdwn', text: `hello <@${message.user}>`}},
      {type: 'actions', elements: [{type: 'button', action_id: 'wave', value: '42', text: {type: 'plain_text', text: 'Wave'}}]},
    ],
  });
  say('posted', posted.ts);
});

app.action('wave', async ({ack, action, body, client}) => {
  await ack();
  await client.chat.postMessage({
    channel: body.container.channel_id,
    thread_ts: body.container.message_ts,
    text: `${body.user.id} waved ${action.value}`,
  });
  await client.chat.update({
    channel: body.container.channel_id,
    ts: body.container.message_ts,
    text: 'waved',
    blocks: [{type: 'section', text: {type: 'mrkdwn', text: 'waved'}}],
  });
  const thread = await client.conversations.replies({channel: body.container.channel_id, ts: body.container.message_ts, include_all_metadata: true});
  say('thread', thread.messages.map((m) => `${m.text}/${m.metadata?.event_type ?? ''}`).join('|'));
});

app.error(async (err) => say('error', err.message));

(async () => {
  await app.start();
  const me = await app.client.auth.test();
  say('started', me.user_id);
})().catch((err) => { say('error', err.message); process.exit(1); });

process.stdin.on('end', () => process.exit(0)).resume(); // the test is over
