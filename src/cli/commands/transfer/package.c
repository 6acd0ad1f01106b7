/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An OVA is written in one pass. Its descriptor comes first and contains the length of the disk, so
 * it has a fixed size and is written last. The manifest is at the end, which the specification
 * allows (DSP0243, 5.2).
 *
 * The virtual machine has the minimum that importers accept. The user configures it after the
 * import.
 */
#include "package.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/digest.h>
#include <base/error.h>
#include <base/i18n.h>
#include <blob/tail.h>
#include <image/convert.h>

#define BLOCK        512
#define OVF_ROOM     (16 * 1024)
#define DISK_AT      (BLOCK + OVF_ROOM + BLOCK) /* both headers and the descriptor */
#define READ_AT_ONCE (1 << 20)

/* --- digests ---------------------------------------------------------------------------------- */

char *cli_blob_sha256(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    g_autoptr(CstDigest) digest = cst_digest_new(CST_SHA256, error);
    g_autofree uint8_t *buf = digest ? cst_alloc(READ_AT_ONCE, 1, blob->name, error) : NULL;
    char hex[CST_DIGEST_HEX];

    if (!buf)
        return NULL;
    for (uint64_t done = 0; done < length;) {
        size_t n = (size_t)MIN(length - done, (uint64_t)READ_AT_ONCE);

        if (!cst_blob_pread(blob, buf, n, offset + done, error))
            return NULL;
        cst_digest_add(digest, buf, n);
        done += n;
    }
    cst_digest_end_hex(digest, hex);
    return g_strdup(hex);
}

/* --- tar -------------------------------------------------------------------------------------- */

/* A ustar header. Its numbers are octal text, and a checksum covers the header. */
typedef struct {
    char name[100];
    char mode[8], uid[8], gid[8];
    char size[12], mtime[12];
    char sum[8];
    char type;
    char link[100];
    char magic[6], version[2];
    char user[32], group[32];
    char major[8], minor[8];
    char prefix[155];
    char pad[12];
} TarHeader;
G_STATIC_ASSERT(sizeof(TarHeader) == BLOCK);

/* Write a size of more than eleven octal digits in binary, as GNU tar and libarchive do. */
static void ova_tar_set_size(TarHeader *header, uint64_t size)
{
    if (size < UINT64_C(1) << 33) {
        g_snprintf(header->size, sizeof(header->size), "%011" PRIo64, size);
        return;
    }
    header->size[0] = (char)0x80;
    for (size_t i = sizeof(header->size) - 1; i > sizeof(header->size) - 1 - sizeof(size); i--) {
        header->size[i] = (char)(size & 0xff);
        size >>= 8;
    }
}

static gboolean ova_tar_put_header(CstBlob *to, uint64_t at, const char *name, uint64_t size,
                                   GError **error)
{
    TarHeader header = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    const uint8_t *bytes = (const uint8_t *)&header;
    unsigned sum = 0;

    if (g_strlcpy(header.name, name, sizeof(header.name)) >= sizeof(header.name))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is too long a name for an OVA"), name);
    g_strlcpy(header.mode, "0000644", sizeof(header.mode));
    g_strlcpy(header.uid, "0000000", sizeof(header.uid));
    g_strlcpy(header.gid, "0000000", sizeof(header.gid));
    ova_tar_set_size(&header, size);
    g_snprintf(header.mtime, sizeof(header.mtime), "%011" PRIo64,
               (uint64_t)(g_get_real_time() / G_USEC_PER_SEC));
    memset(header.sum, ' ', sizeof(header.sum));
    for (size_t i = 0; i < sizeof(header); i++)
        sum += bytes[i];
    g_snprintf(header.sum, sizeof(header.sum), "%06o", sum);
    return cst_blob_pwrite(to, &header, sizeof(header), at, error);
}

/* --- the descriptor --------------------------------------------------------------------------- */

static const char descriptor[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\"\n"
    "    xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\"\n"
    "    xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
    "CIM_ResourceAllocationSettingData\"\n"
    "    xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
    "CIM_VirtualSystemSettingData\">\n"
    "  <References>\n"
    "    <File ovf:id=\"file1\" ovf:href=\"%s\" ovf:size=\"%" PRIu64 "\"/>\n"
    "  </References>\n"
    "  <DiskSection>\n"
    "    <Info>Disks</Info>\n"
    "    <Disk ovf:diskId=\"disk1\" ovf:fileRef=\"file1\" ovf:capacity=\"%" PRIu64 "\"\n"
    "        ovf:capacityAllocationUnits=\"byte\"\n"
    "        ovf:format=\"http://www.vmware.com/interfaces/specifications/"
    "vmdk.html#streamOptimized\"/>\n"
    "  </DiskSection>\n"
    "  <VirtualSystem ovf:id=\"%s\">\n"
    "    <Info>A virtual machine</Info>\n"
    "    <Name>%s</Name>\n"
    "    <OperatingSystemSection ovf:id=\"1\">\n"
    "      <Info>Not known</Info>\n"
    "    </OperatingSystemSection>\n"
    "    <VirtualHardwareSection>\n"
    "      <Info>The least that a machine has</Info>\n"
    "      <System>\n"
    "        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n"
    "        <vssd:InstanceID>0</vssd:InstanceID>\n"
    "        <vssd:VirtualSystemType>vmx-07</vssd:VirtualSystemType>\n"
    "      </System>\n"
    "      <Item>\n"
    "        <rasd:ElementName>1 virtual CPU</rasd:ElementName>\n"
    "        <rasd:InstanceID>1</rasd:InstanceID>\n"
    "        <rasd:ResourceType>3</rasd:ResourceType>\n"
    "        <rasd:VirtualQuantity>1</rasd:VirtualQuantity>\n"
    "      </Item>\n"
    "      <Item>\n"
    "        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>\n"
    "        <rasd:ElementName>1024 MiB of memory</rasd:ElementName>\n"
    "        <rasd:InstanceID>2</rasd:InstanceID>\n"
    "        <rasd:ResourceType>4</rasd:ResourceType>\n"
    "        <rasd:VirtualQuantity>1024</rasd:VirtualQuantity>\n"
    "      </Item>\n"
    "      <Item>\n"
    "        <rasd:Address>0</rasd:Address>\n"
    "        <rasd:ElementName>SCSI Controller</rasd:ElementName>\n"
    "        <rasd:InstanceID>3</rasd:InstanceID>\n"
    "        <rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>\n"
    "        <rasd:ResourceType>6</rasd:ResourceType>\n"
    "      </Item>\n"
    "      <Item>\n"
    "        <rasd:AddressOnParent>0</rasd:AddressOnParent>\n"
    "        <rasd:ElementName>Hard disk</rasd:ElementName>\n"
    "        <rasd:HostResource>ovf:/disk/disk1</rasd:HostResource>\n"
    "        <rasd:InstanceID>4</rasd:InstanceID>\n"
    "        <rasd:Parent>3</rasd:Parent>\n"
    "        <rasd:ResourceType>17</rasd:ResourceType>\n"
    "      </Item>\n"
    "    </VirtualHardwareSection>\n"
    "  </VirtualSystem>\n"
    "</Envelope>\n";

/* Fill the space up to OVF_ROOM with newlines, which XML allows after the document. */
static gboolean put_descriptor(CstBlob *to, const char *name, const char *disk_name, uint64_t size,
                               uint64_t capacity, GError **error)
{
    g_autofree char *escaped = g_markup_escape_text(name, -1);
    g_autofree char *href = g_markup_escape_text(disk_name, -1);
    g_autofree char *file_name = g_strdup_printf("%s.ovf", name);
    g_autofree char *text = g_strdup_printf(descriptor, href, size, capacity, escaped, escaped);
    size_t len = strlen(text);
    char room[OVF_ROOM];

    if (len > OVF_ROOM)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' is too long a name for an OVA"), name);
    memset(room, '\n', sizeof(room));
    memcpy(room, text, len);
    return ova_tar_put_header(to, 0, file_name, OVF_ROOM, error) &&
           cst_blob_pwrite(to, room, sizeof(room), BLOCK, error);
}

/* --- package ---------------------------------------------------------------------------------- */

/* Write the manifest and the two empty blocks that end an archive. */
static gboolean put_manifest(CstBlob *to, uint64_t at, const char *name, const char *disk_name,
                             uint64_t disk_size, GError **error)
{
    g_autofree char *file_name = g_strdup_printf("%s.mf", name);
    g_autofree char *ovf = cli_blob_sha256(to, BLOCK, OVF_ROOM, error);
    g_autofree char *disk = ovf ? cli_blob_sha256(to, DISK_AT, disk_size, error) : NULL;
    g_autofree char *text = NULL;
    g_autofree uint8_t *blocks = NULL;
    size_t len, padded;

    if (!disk)
        return FALSE;
    text = g_strdup_printf("SHA256(%s.ovf)= %s\nSHA256(%s)= %s\n", name, ovf, disk_name, disk);
    len = strlen(text);
    padded = (len + BLOCK - 1) / BLOCK * BLOCK + 2 * BLOCK;
    blocks = g_malloc0(padded);
    memcpy(blocks, text, len);
    return ova_tar_put_header(to, at, file_name, len, error) &&
           cst_blob_pwrite(to, blocks, padded, at + BLOCK, error);
}

static gboolean put_disk(CstBlob *disk, CstBlob *to, const char *disk_name, uint64_t *ret_size,
                         GError **error)
{
    static const uint8_t zeroes[BLOCK];
    g_autoptr(CstBlob) image = cst_blob_tail(to, DISK_AT, to->name);
    const CstImageFormat *vmdk = cst_image_format_find("vmdk", error);

    return vmdk && cst_image_convert(disk, image, vmdk, NULL, CST_CONVERT_COMPRESS, NULL, error) &&
           cst_blob_get_size(image, ret_size, error) &&
           cst_blob_pwrite(image, zeroes, (size_t)(-*ret_size % BLOCK), *ret_size, error) &&
           ova_tar_put_header(to, DISK_AT - BLOCK, disk_name, *ret_size, error);
}

gboolean cli_package_write(CstBlob *disk, CstBlob *to, const char *name, GError **error)
{
    g_autofree char *disk_name = g_strdup_printf("%s-disk1.vmdk", name);
    uint64_t capacity, size, end;

    return cst_blob_get_size(disk, &capacity, error) &&
           put_disk(disk, to, disk_name, &size, error) &&
           put_descriptor(to, name, disk_name, size, capacity, error) &&
           cst_blob_get_size(to, &end, error) &&
           put_manifest(to, end, name, disk_name, size, error) && cst_blob_flush(to, error);
}
