//! The certificates of the specification's third example of a message exchange, without their `types`.

pub(super) const CERTIFICATES: [&str; 3] = [
    r#"
        [
         {
          "domain": {
           "name": "WMP",
           "version": "1"
          },
          "message": {
           "bootedAt": 1658765756680628959,
           "chainId": 1,
           "csPubKey": "12ae0184b180e9a9c5e45be4a1afbce3c6491320063701cd9c4011a777d04089",
           "delegate": "0xf5173a6111B2A6B3C20fceD53B2A8405EC142bF6",
           "meta": "",
           "validFrom": 15212703,
           "verifyingContract": "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57"
          },
          "primaryType": "EIP712DelegateCertificate"
         },
         "8fe06bb269110c6bc0e011ea2b7da07091c674f7fe67458c1805157157da702b70b56cdf662666dc386820ded0116b6b84151df1ed65210eeecd7e477cdb765b1b"
        ]
    "#,
    r#"
        [
         {
          "domain": {
           "name": "WMP",
           "version": "1"
          },
          "message": {
           "capabilities": 12,
           "chainId": 1,
           "issuer": "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57",
           "meta": "",
           "realm": "0xA6e693CC4A2b4F1400391a728D26369D9b82ef96",
           "subject": "0xf5173a6111B2A6B3C20fceD53B2A8405EC142bF6",
           "validFrom": 15212703,
           "verifyingContract": "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57"
          },
          "primaryType": "EIP712AuthorityCertificate"
         },
         "0c0eb60a108dbd72a204b41c1d18505358e4e7886b0c9787192a33ac9e0f94c92ce158f8de576fa9cccf28a8c9404ed66c2d355ea4ae7ee65cff0b73215b91bb1c"
        ]
    "#,
    r#"
        [
         {
          "domain": {
           "name": "WMP",
           "version": "1"
          },
          "message": {
           "capabilities": 63,
           "chainId": 1,
           "issuer": "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57",
           "meta": "",
           "realm": "0xA6e693CC4A2b4F1400391a728D26369D9b82ef96",
           "subject": "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57",
           "validFrom": 15212703,
           "verifyingContract": "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57"
          },
          "primaryType": "EIP712AuthorityCertificate"
         },
         "be35c8d6ae735d3bd8b5e27b1e1a067eba53e6a1cb4ef0f607c4717435e8ffa676246e7d08dfb4e83c78ad26f423b727b5d2c90627bdf6c94c1dbdf01979c34b1c"
        ]
    "#,
];
