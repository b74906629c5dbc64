// Loaded before every program of Node.js in this container. `docker compose exec` comes in as the container's user, which is root:
// whatever it makes in /data has to be the gateway's.
const GATEWAY_ID = 10_001;

if (process.getuid() === 0) {
  process.setgroups([]);
  process.setgid(GATEWAY_ID);
  process.setuid(GATEWAY_ID);
}
