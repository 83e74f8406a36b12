/**
 * What an agent runs when nobody names a compose file: enough for a client to talk to, and plainly
 * nothing to deploy.
 */
export const developmentCompose = JSON.stringify({
  manifest_version: 2,
  name: 'local-development',
  runner: 'docker-compose',
  docker_compose_file: 'services: {}\n',
  kms_enabled: true,
  gateway_enabled: false,
  public_logs: true,
  public_sysinfo: true,
  public_tcbinfo: true,
  allowed_envs: [],
  no_instance_id: false,
  secure_time: false,
})
