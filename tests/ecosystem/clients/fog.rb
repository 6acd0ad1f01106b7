# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: fog.rb URI DIR BOX
#
# The storage calls of vagrant-libvirt, through fog-libvirt: a pool, the image BOX uploaded into it, a disk
# over it, a copy. Prints one JSON object of what was seen; the volumes stay for the caller to look at.

require 'json'
require 'libvirt'
require 'fog/libvirt'

uri, directory, box = ARGV
compute = Fog::Compute.new(provider: 'Libvirt', libvirt_uri: uri)
conn = compute.client
pool = conn.define_storage_pool_xml(
  "<pool type='dir'><name>fog</name><target><path>#{directory}</path></target></pool>"
)
pool.build
pool.create
base = compute.volumes.create(name: 'box.img', allocation: '1M', capacity: '64M',
                              format_type: 'qcow2', pool_name: 'fog')
stream = conn.stream
pool.lookup_volume_by_name('box.img').upload(stream, 0, File.size(box))
File.open(box, 'rb') do |file|
  while (piece = file.read(1 << 16))
    stream.send(piece)
  end
end
stream.finish
pool.refresh
compute.volumes.create(name: 'disk.img', allocation: '1M', capacity: '64M', format_type: 'qcow2',
                       pool_name: 'fog', backing_volume: base)
# Volume#clone_volume of this release makes the clone and then fails on its own record of it.
copy = base.dup
copy.name = 'copy.img'
compute.clone_volume('fog', copy.to_xml, 'box.img')
compute.volumes.create(name: 'spare.img', capacity: '1M', allocation: '1M', pool_name: 'fog')
compute.volumes.all.find { |each| each.name == 'spare.img' }.destroy
ours = compute.pools.all.find { |each| each.name == 'fog' }
puts JSON.generate(
  'pool' => [ours.state, ours.active, ours.persistent],
  'volumes' => compute.volumes.all.select { |each| each.pool_name == 'fog' }.map(&:name).sort,
  'servers' => compute.servers.all.size, 'networks' => compute.networks.all.size
)
