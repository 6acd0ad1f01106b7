# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: ruby.rb URI DIR
#
# A life of the pool DIR by ruby-libvirt: volumes made, filled, read, cloned, resized, wiped, listed, looked
# up, refused. Prints one JSON object of what the client saw; volumes and pool stay for the caller to look at.

require 'json'
require 'libvirt'

VOLUME = "<volume><name>%s</name><capacity>%d</capacity><target><format type='%s'/></target></volume>"

def code_of
  yield
  nil
rescue Libvirt::Error => error
  error.libvirt_code
end

def upload(conn, volume, data)
  stream = conn.stream
  volume.upload(stream, 0, data.bytesize)
  data.bytes.each_slice(65536) { |piece| stream.send(piece.pack('C*')) }
  stream.finish
end

def download(conn, volume, length)
  stream = conn.stream
  volume.download(stream, 0, length)
  data = +''
  loop do
    status, piece = stream.recv(65536)
    break if status <= 0

    data << piece
  end
  stream.finish
  data
end

conn = Libvirt.open(ARGV[0])
pool = conn.define_storage_pool_xml(
  "<pool type='dir'><name>rb</name><target><path>#{ARGV[1]}</path></target></pool>"
)
pool.build
pool.create
pool.autostart = true
image = pool.create_volume_xml(format(VOLUME, 'a.qcow2', 10 << 20, 'qcow2'))
plain = pool.create_volume_xml(format(VOLUME, 'r.raw', 1 << 20, 'raw'))
wiped = pool.create_volume_xml(format(VOLUME, 'w.raw', 1 << 16, 'raw'))
data = 'ruby' * (1 << 18)
upload(conn, plain, data)
upload(conn, wiped, data[0, 1 << 16])
wiped.wipe
pool.create_volume_xml_from(format(VOLUME, 'c.qcow2', 1 << 20, 'qcow2'), plain)
image.resize(20 << 20)
facts = {
  'pools' => conn.list_storage_pools.sort,
  'state' => [pool.active?, pool.persistent?, pool.autostart?, pool.info.state],
  'volumes' => pool.list_volumes.sort,
  # Their names can't be asked for: the binding takes the pool for a connection (libvirtd or not).
  'all volumes' => pool.list_all_volumes.size,
  'capacity' => image.info.capacity,
  'same' => download(conn, plain, 1 << 20) == data,
  'by path' => pool.lookup_volume_by_path("#{ARGV[1]}/a.qcow2").name,
  'by key' => pool.lookup_volume_by_key(image.key).name,
  'codes' => [code_of { pool.lookup_volume_by_name('none') },
              code_of { pool.create_volume_xml(format(VOLUME, 'r.raw', 1, 'raw')) },
              code_of { conn.lookup_storage_pool_by_name('none') }]
}
wiped.delete
facts['after delete'] = pool.num_of_volumes
conn.close
puts JSON.generate(facts)
