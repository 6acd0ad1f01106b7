# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: perl.pl URI DIR
#
# A life of the pool DIR by Sys::Virt, clone and streams by callbacks included. Prints one JSON object of
# what the client saw; volumes and pool stay for the caller to look at.

use strict;
use warnings;
use JSON::PP;
use Sys::Virt;

my ($uri, $dir) = @ARGV;
my $conn = Sys::Virt->new(uri => $uri);

sub volume {
    my ($name, $capacity, $format) = @_;
    return "<volume><name>$name</name><capacity>$capacity</capacity>"
        . "<target><format type='$format'/></target></volume>";
}

sub code_of {
    my ($call) = @_;
    eval { $call->(); 1 } and return undef;
    return [$@->code, $@->domain];
}

my $pool = $conn->define_storage_pool(
    "<pool type='dir'><name>pl</name><target><path>$dir</path></target></pool>");
$pool->build;
$pool->create;
$pool->set_autostart(1);
my $image = $pool->create_volume(volume("a.qcow2", 10 << 20, "qcow2"));
my $plain = $pool->create_volume(volume("r.raw", 1 << 20, "raw"));
my $data = "perl" x (1 << 18);
my $sent = 0;
my $stream = $conn->new_stream;
$plain->upload($stream, 0, 0);
$stream->send_all(sub {
    $_[1] = substr($data, $sent, $_[2]);
    $sent += length $_[1];
    return length $_[1];
});
$stream->finish;
my $read = "";
$stream = $conn->new_stream;
$plain->download($stream, 0, 0);
$stream->recv_all(sub { $read .= $_[1]; return length $_[1]; });
$stream->finish;
$image->resize(20 << 20);
$pool->clone_volume(volume("c.qcow2", 1 << 20, "qcow2"), $plain);
print encode_json({
    pools => [sort map { $_->get_name } $conn->list_storage_pools],
    state => [$pool->get_info->{state}, $pool->get_autostart ? 1 : 0, $pool->num_of_storage_volumes],
    volumes => [sort map { $_->get_name } $pool->list_volumes],
    "all volumes" => [sort map { $_->get_name } $pool->list_all_volumes],
    capacity => $image->get_info->{capacity},
    same => $read eq $data ? JSON::PP::true : JSON::PP::false,
    codes => [code_of(sub { $pool->get_volume_by_name("none") }),
              code_of(sub { $pool->create_volume(volume("r.raw", 1, "raw")) }),
              code_of(sub { $conn->get_storage_pool_by_name("none") })],
});
