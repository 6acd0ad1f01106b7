<?php
// SPDX-License-Identifier: LGPL-2.1-or-later
// usage: storage.php URI DIR
//
// A life of the pool DIR by libvirt-php. Prints one JSON object of what the client saw; the volumes stay
// for the caller to look at.

function check($value)
{
    if (!$value) {
        fwrite(STDERR, libvirt_get_last_error() . "\n");
        exit(1);
    }
    return $value;
}

function volume($name, $capacity, $format)
{
    return "<volume><name>$name</name><capacity>$capacity</capacity>"
        . "<target><format type='$format'/></target></volume>";
}

$conn = check(libvirt_connect($argv[1], false));
$pool = check(libvirt_storagepool_define_xml(
    $conn,
    "<pool type='dir'><name>php</name><target><path>{$argv[2]}</path></target></pool>"
));
check(libvirt_storagepool_build($pool));
check(libvirt_storagepool_create($pool));
check(libvirt_storagepool_set_autostart($pool, true));
$image = check(libvirt_storagevolume_create_xml($pool, volume("a.qcow2", 10 << 20, "qcow2")));
check(libvirt_storagevolume_create_xml_from($pool, volume("b.qcow2", 10 << 20, "qcow2"), $image));
check(libvirt_storagevolume_resize($image, 20 << 20, 0) === 0);
$spare = check(libvirt_storagevolume_create_xml($pool, volume("spare", 1 << 20, "raw")));
check(libvirt_storagevolume_delete($spare));
check(libvirt_storagepool_refresh($pool));
$info = check(libvirt_storagepool_get_info($pool));
$volumes = libvirt_storagepool_list_volumes($pool);
sort($volumes);
$pools = libvirt_list_storagepools($conn);
sort($pools);
$missing = @libvirt_storagevolume_lookup_by_name($pool, "none");
echo json_encode([
    "pools" => $pools,
    "state" => [$info["state"], libvirt_storagepool_is_active($pool),
                libvirt_storagepool_get_autostart($pool)],
    "capacity" => libvirt_storagevolume_get_info($image)["capacity"],
    "path" => libvirt_storagevolume_get_path($image),
    "volumes" => $volumes,
    "missing" => $missing,
]);
