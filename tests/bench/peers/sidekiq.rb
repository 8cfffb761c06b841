# No-op jobs in Sidekiq. As a program: sidekiq.rb SOCKET N LIVES [each] pushes N that come again until each had LIVES, in bulk
# or each by itself: says "ready", goes on at a line on stdin. With `sidekiq -r` it is the job, and says "ready" once the
# process works; CERTFLEET_BENCH_SOCKET is Redis.
require 'sidekiq'

SOCKET = ENV['CERTFLEET_BENCH_SOCKET'] || ARGV[0]
Sidekiq.configure_client { |c| c.redis = { url: "unix://#{SOCKET}" } }
Sidekiq.configure_server do |c|
  c.redis = { url: "unix://#{SOCKET}" }
  c.logger.level = Logger::WARN # not two lines a job
  c.on(:startup) { $stdout.puts 'ready'; $stdout.flush }
end

class Noop
  include Sidekiq::Worker
  def perform(id, lives)
    Noop.perform_async(id, lives - 1) if lives > 1
  end
end

if __FILE__ == $PROGRAM_NAME
  Sidekiq.redis { |r| r.call('PING') rescue r.ping }
  $stdout.puts 'ready'
  $stdout.flush
  $stdin.gets
  if ARGV[3] == 'each'
    ARGV[1].to_i.times { |id| Noop.perform_async(id, ARGV[2].to_i) }
  else
    (0...ARGV[1].to_i).each_slice(1000) do |ids|
      Sidekiq::Client.push_bulk('class' => Noop, 'args' => ids.map { |id| [id, ARGV[2].to_i] })
    end
  end
  $stdout.puts 'done'
  $stdout.flush
end
